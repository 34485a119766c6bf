//! Writes PDFs byte by byte, good ones and others.

/// Objects in order, a cross-reference table, a trailer.
#[derive(Default)]
pub struct Pdf {
    pub objects: Vec<Vec<u8>>,
    /// More entries of the trailer.
    pub trailer: String,
}

impl Pdf {
    /// Adds an object and gives its number (from 1).
    pub fn add(&mut self, body: impl AsRef<[u8]>) -> usize {
        self.objects.push(body.as_ref().to_vec());
        self.objects.len()
    }

    pub fn stream(&mut self, dict: &str, data: &[u8]) -> usize {
        let mut body = format!("<<{dict}/Length {}>>\nstream\n", data.len()).into_bytes();
        body.extend_from_slice(data);
        body.extend_from_slice(b"\nendstream");
        self.add(body)
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut out = b"%PDF-1.7\n".to_vec();
        let mut offsets = Vec::new();
        for (at, object) in self.objects.iter().enumerate() {
            offsets.push(out.len());
            out.extend_from_slice(format!("{} 0 obj\n", at + 1).as_bytes());
            out.extend_from_slice(object);
            out.extend_from_slice(b"\nendobj\n");
        }
        let xref = out.len();
        out.extend_from_slice(format!("xref\n0 {}\n0000000000 65535 f \n", offsets.len() + 1).as_bytes());
        for offset in &offsets {
            out.extend_from_slice(format!("{offset:010} 00000 n \n").as_bytes());
        }
        let trailer = format!(
            "trailer\n<</Size {}/Root 1 0 R{}>>\nstartxref\n{xref}\n%%EOF\n",
            offsets.len() + 1,
            self.trailer
        );
        out.extend_from_slice(trailer.as_bytes());
        out
    }
}

pub const FONT: &str = "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>";

/// One page of US Letter per content stream; `catalog` goes into the catalog, `page` into every page.
pub fn document(contents: &[&str], catalog: &str, page: &str) -> Pdf {
    let mut pdf = Pdf::default();
    let kids: String = (0..contents.len()).map(|at| format!("{} 0 R ", 4 + 2 * at)).collect();
    pdf.add(format!("<</Type/Catalog/Pages 2 0 R{catalog}>>"));
    pdf.add(format!("<</Type/Pages/Count {}/Kids[{kids}]/MediaBox[0 0 612 792]>>", contents.len()));
    pdf.add(FONT);
    for (at, content) in contents.iter().enumerate() {
        let stream = 5 + 2 * at;
        pdf.add(format!(
            "<</Type/Page/Parent 2 0 R/Contents {stream} 0 R/Resources<</Font<</F1 3 0 R>>>>{page}>>"
        ));
        pdf.stream("", content.as_bytes());
    }
    pdf
}

pub fn line(x: u32, y: u32, text: &str) -> String {
    format!("BT /F1 10 Tf 1 0 0 1 {x} {y} Tm ({text}) Tj ET\n")
}
