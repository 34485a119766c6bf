// Documents of the mock: invented texts whose sentences the mock's answers quote, cut into lines and pages like print.

export interface MockText {
  text: string;
  /** Code point offsets; null for documents without pages. */
  pages: { start: number; end: number; label: string; lines: { start: number; end: number }[] }[] | null;
}

export const LINES_PER_PAGE = 40;
export const LINE_LENGTH = 82;

const FILLER = [
  "The harbour authority keeps a ledger of every vessel that enters the basin.",
  "Dredging of the northern channel was put off until the winter tides.",
  "Cargo handled by the eastern cranes fell slightly, while the western quay gained.",
  "Two of the older tugs were laid up for repairs during the quarter.",
  "Pilots reported calmer water behind the new breakwater.",
  "The board met eleven times and published its minutes within a week of each meeting.",
];

export const FACTS = {
  revenue: "Total revenue increased 12 % to $4.1 billion in the year that ended on 30 June.",
  cranes: "The increase came mainly from container handling at the new western quay.",
  growth: "The symbol 𝒢 stands for growth 📈, and 𝒢 was 0.12 for the harbour as a whole.",
  staff: "The authority employed 2,318 people, of whom 214 were apprentices.",
  lighthouse: "The lighthouse at Cape Vey was electrified in 1931 by Ada Thornbury.",
};

function wrap(paragraphs: string[]): string[] {
  const lines: string[] = [];
  for (const paragraph of paragraphs) {
    let line = "";
    for (const word of paragraph.split(" ")) {
      if (line.length + word.length + 1 > LINE_LENGTH) {
        lines.push(line);
        line = word;
      } else line = line === "" ? word : `${line} ${word}`;
    }
    lines.push(line, "");
  }
  return lines;
}

function filler(seed: number, sentences: number): string {
  return Array.from({ length: sentences }, (_, i) => FILLER[(seed * 5 + i * 7) % FILLER.length]!).join(" ");
}

/** A report in print: twelve sheets whose first two carry Roman numbers. */
export function printedReport(): MockText {
  const pages: NonNullable<MockText["pages"]> = [];
  let text = "";
  let length = 0;
  for (let page = 1; page <= 12; page++) {
    const body = [page === 1 ? "Harbour Authority, annual report" : `Section ${page}`, filler(page, 7)];
    if (page === 4) body.push(`${FACTS.revenue} ${FACTS.cranes}`);
    if (page === 6) body.push(FACTS.growth);
    if (page === 9) body.push(FACTS.staff);
    body.push(filler(page + 3, 9), filler(page + 1, 6));
    const start = length;
    const lines = wrap(body)
      .slice(0, LINES_PER_PAGE)
      .map((line) => {
        const from = length;
        text += `${line}\n`;
        length += Array.from(line).length + 1;
        return { start: from, end: length - 1 };
      });
    pages.push({ start, end: length, label: page <= 2 ? ["i", "ii"][page - 1]! : String(page - 2), lines });
  }
  return { text, pages };
}

export function letter(): MockText {
  const text = [
    "# Letter to the shareholders",
    "",
    filler(2, 6),
    "",
    FACTS.lighthouse,
    "",
    "العدد الإجمالي للسفن التي دخلت الميناء هو ٤١٢ سفينة.",
    "",
    filler(4, 20),
    "",
    `A hostile line: <img src=x onerror=alert(1)> and an override \u202Ereversed\u202C in the text.`,
    "",
    filler(3, 60),
  ].join("\n");
  return { text, pages: null };
}

export function table(): MockText {
  const rows = Array.from({ length: 120 }, (_, i) => `Q${(i % 4) + 1},${1996 + Math.floor(i / 4)},${300 + i * 7},${40 + (i % 9)}`);
  return { text: ["quarter,year,vessels,tugs", ...rows].join("\n"), pages: null };
}

export function plainText(content: string): MockText {
  return { text: content, pages: null };
}
