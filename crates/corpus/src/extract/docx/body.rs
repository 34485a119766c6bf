//! WordprocessingML → blocks (ECMA-376 part 1, sections 17.3 and 17.4). Deleted and moved-away runs are skipped, text
//! marked as hidden is kept apart.

use super::styles::{HeadingLevels, outline_level};
use crate::extract::flow::Flow;
use crate::extract::xml::{Element, Step, Xml};
use crate::extract::{BlockKind, ExtractError, HiddenText, Limits};

struct Body<'a, 'b> {
    styles: &'a HeadingLevels,
    limits: &'a Limits,
    flow: &'a mut Flow<'b>,
    hidden: &'a mut Vec<HiddenText>,
    /// Open elements whose content is no current text (deletions, fallbacks, field codes, separators).
    skipped: u32,
    /// Open `w:t` elements.
    text: u32,
    /// Open rows; nested tables stay inside their row.
    rows: u32,
    cells: Vec<u64>,
    /// Cells of the open row.
    row_cells: u64,
    /// The open run is marked hidden.
    vanish: bool,
    in_run: bool,
}

pub fn walk(
    text: &str,
    styles: &HeadingLevels,
    limits: &Limits,
    flow: &mut Flow<'_>,
    hidden: &mut Vec<HiddenText>,
) -> Result<(), ExtractError> {
    let mut xml = Xml::new(text, limits);
    let mut body = Body {
        styles,
        limits,
        flow,
        hidden,
        skipped: 0,
        text: 0,
        rows: 0,
        cells: Vec::new(),
        row_cells: 0,
        vanish: false,
        in_run: false,
    };
    while let Some(step) = xml.next()? {
        match step {
            Step::Open(element) if body.skipped > 0 || is_skipped(&element) => body.skipped += 1,
            Step::Open(element) => body.open(&element)?,
            Step::Close(_) if body.skipped > 0 => body.skipped -= 1,
            Step::Close(name) => body.close(&name)?,
            Step::Text(text) if body.text > 0 && body.skipped == 0 => body.push(&text)?,
            Step::Text(_) => {}
        }
    }
    body.flow.begin(BlockKind::Paragraph);
    Ok(())
}

fn is_skipped(element: &Element<'_>) -> bool {
    match element.name.as_str() {
        "del" | "moveFrom" | "delText" | "instrText" | "Fallback" | "pPrChange" | "rPrChange"
        | "tblPrChange" | "sectPr" => true,
        // Separator lines between text and notes.
        "footnote" | "endnote" => element.attribute("type").is_some_and(|kind| kind != "normal"),
        _ => false,
    }
}

impl Body<'_, '_> {
    fn open(&mut self, element: &Element<'_>) -> Result<(), ExtractError> {
        match element.name.as_str() {
            "p" if self.rows > 0 => self.flow.collapsed(" ")?,
            "p" => self.flow.begin(BlockKind::Paragraph),
            "pStyle" => {
                let style = element.attribute("val").unwrap_or_default();
                self.heading(self.styles.level(&style));
            }
            "outlineLvl" => self.heading(outline_level(&element.attribute("val").unwrap_or_default())),
            "numPr"
                if self.rows == 0 && self.flow.is_at_start() && self.flow.kind() == BlockKind::Paragraph =>
            {
                self.flow.begin(BlockKind::ListItem);
            }
            "r" => {
                self.in_run = true;
                self.vanish = false;
            }
            "vanish" if self.in_run => {
                self.vanish |= !matches!(element.attribute("val").as_deref(), Some("0" | "false" | "off"));
            }
            // Half-points: text of one point or less is not meant to be read.
            "sz" if self.in_run => {
                let size = element.attribute("val").and_then(|val| val.parse::<u32>().ok());
                self.vanish |= size.is_some_and(|size| size <= 2);
            }
            "t" => self.text += 1,
            "tab" if self.in_run && self.rows == 0 => self.flow.verbatim("\t")?,
            "tab" | "br" | "cr" if self.in_run => self.flow.collapsed(" ")?,
            "noBreakHyphen" => self.flow.verbatim("\u{2011}")?,
            "tbl" => self.cells.push(0),
            "tr" => {
                self.rows += 1;
                if self.rows == 1 {
                    self.row_cells = 0;
                    self.flow.begin(BlockKind::TableRow);
                }
            }
            "tc" => self.cell()?,
            _ => {}
        }
        Ok(())
    }

    fn heading(&mut self, level: Option<u8>) {
        if let Some(level) = level
            && self.rows == 0
            && self.flow.is_at_start()
        {
            self.flow.begin(BlockKind::Heading(level));
        }
    }

    fn cell(&mut self) -> Result<(), ExtractError> {
        if let Some(cells) = self.cells.last_mut() {
            *cells += 1;
            if *cells > self.limits.table_cells {
                return Err(ExtractError::limit("table_cells", self.limits.table_cells));
            }
        }
        self.row_cells += 1;
        if self.row_cells == 1 { Ok(()) } else { self.flow.verbatim("\t") }
    }

    fn close(&mut self, name: &str) -> Result<(), ExtractError> {
        match name {
            "t" => self.text = self.text.saturating_sub(1),
            "r" => {
                self.in_run = false;
                self.vanish = false;
            }
            "tr" => {
                self.rows = self.rows.saturating_sub(1);
                if self.rows == 0 {
                    self.flow.begin(BlockKind::Paragraph);
                }
            }
            "tbl" => {
                self.cells.pop();
            }
            _ => {}
        }
        Ok(())
    }

    fn push(&mut self, text: &str) -> Result<(), ExtractError> {
        if self.vanish {
            match self.hidden.last_mut() {
                Some(last) => last.text.push_str(text),
                None => self.hidden.push(HiddenText { page: 0, text: text.to_owned() }),
            }
            return Ok(());
        }
        // Spaces in runs are content; line ends in the markup are not.
        let text = text.replace(['\n', '\r', '\t'], " ");
        self.flow.verbatim_after_space(&text)
    }
}
