//! The walk over the parsed tree, with its own stack of enter and leave steps.

#![cfg_attr(
    not(test),
    expect(
        clippy::indexing_slicing,
        reason = "nodes are never removed from the arena, so every number it gave out is good"
    )
)]

use super::tree::{Data, NodeId, ROOT, Tree};
use crate::extract::flow::Flow;
use crate::extract::{Block, BlockKind, ExtractError, HiddenText, Limits};

/// What the walk found.
pub struct Walked {
    pub text: String,
    pub blocks: Vec<Block>,
    pub title: String,
    pub hidden: Vec<HiddenText>,
    /// Scripts, frames or forms were seen.
    pub active: bool,
}

enum Step {
    Enter(NodeId),
    Leave(NodeId),
}

struct Walk<'a> {
    flow: Flow<'a>,
    limits: &'a Limits,
    title: String,
    hidden: Vec<HiddenText>,
    active: bool,
    /// Open `<pre>` elements.
    pre: u32,
    /// Open rows, and cells seen in each open table.
    rows: u32,
    cells: Vec<u64>,
    /// Cells of the open row.
    row_cells: u64,
    /// Open list items: a paragraph in one stays a list item.
    items: u32,
}

pub fn walk(tree: &Tree, limits: &Limits) -> Result<Walked, ExtractError> {
    let nodes = tree.nodes();
    let mut walk = Walk {
        flow: Flow::new(limits),
        limits,
        title: String::new(),
        hidden: Vec::new(),
        active: false,
        pre: 0,
        rows: 0,
        cells: Vec::new(),
        row_cells: 0,
        items: 0,
    };
    let mut steps = vec![Step::Enter(ROOT)];
    while let Some(step) = steps.pop() {
        match step {
            Step::Leave(id) => walk.leave(nodes[id].data.tag()),
            Step::Enter(id) => {
                let node = &nodes[id];
                if let Data::Text(text) = &node.data {
                    walk.text(text)?;
                    continue;
                }
                if matches!(node.data, Data::Other) || walk.skips(tree, id) {
                    continue;
                }
                walk.enter(&node.data)?;
                steps.push(Step::Leave(id));
                steps.extend(node.children.iter().rev().map(|&child| Step::Enter(child)));
            }
        }
    }
    let Walk { flow, title, hidden, active, .. } = walk;
    let (text, blocks) = flow.finish();
    Ok(Walked { text, blocks, title, hidden, active })
}

impl Walk<'_> {
    /// Whether nothing of this element is seen by a reader. Its title and its hidden text are taken note of.
    fn skips(&mut self, tree: &Tree, id: NodeId) -> bool {
        let nodes = tree.nodes();
        let data = &nodes[id].data;
        if data.is_foreign_drawing_or_note() {
            return true;
        }
        match data.tag() {
            "script" | "iframe" | "frame" | "frameset" | "object" | "embed" | "applet" => {
                self.active = true;
                return true;
            }
            "title" => {
                if self.title.is_empty() {
                    self.title = words(&text_under(tree, id));
                }
                return true;
            }
            "style" | "template" | "noscript" | "noframes" | "datalist" | "select" | "textarea"
            | "canvas" | "audio" | "video" | "rp" => return true,
            "head" | "" => return false,
            _ => {}
        }
        if is_hidden(data) {
            let text = words(&text_under(tree, id));
            if !text.is_empty() {
                self.hidden.push(HiddenText { page: 0, text });
            }
            return true;
        }
        false
    }

    fn text(&mut self, text: &str) -> Result<(), ExtractError> {
        if self.pre > 0 { self.flow.verbatim(text) } else { self.flow.collapsed(text) }
    }

    fn enter(&mut self, data: &Data) -> Result<(), ExtractError> {
        let tag = data.tag();
        match tag {
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" if self.rows == 0 => {
                let level = tag.as_bytes().get(1).map_or(1, |digit| digit.wrapping_sub(b'0'));
                self.flow.begin(BlockKind::Heading(level));
            }
            "br" if self.pre > 0 => self.flow.verbatim("\n")?,
            "br" => self.flow.collapsed(" ")?,
            "table" if self.rows == 0 => {
                self.cells.push(0);
                self.flow.begin(BlockKind::Paragraph);
            }
            "table" => self.cells.push(0),
            "tr" => {
                self.rows += 1;
                if self.rows == 1 {
                    self.row_cells = 0;
                    self.flow.begin(BlockKind::TableRow);
                }
            }
            "td" | "th" => self.cell()?,
            "form" => self.active = true,
            "li" | "dt" | "dd" => {
                self.items += 1;
                self.block();
            }
            "pre" => {
                if self.rows == 0 {
                    self.flow.begin(BlockKind::Code);
                }
                self.pre += 1;
            }
            _ if is_block(tag) => self.block(),
            _ => {}
        }
        Ok(())
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

    fn leave(&mut self, tag: &str) {
        match tag {
            "tr" => {
                self.rows = self.rows.saturating_sub(1);
                self.block();
            }
            "table" => {
                self.cells.pop();
                self.block();
            }
            "li" | "dt" | "dd" => {
                self.items = self.items.saturating_sub(1);
                self.block();
            }
            "pre" => {
                self.pre = self.pre.saturating_sub(1);
                self.block();
            }
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => self.block(),
            _ if is_block(tag) => self.block(),
            _ => {}
        }
    }

    /// A block border. Inside a row it is only a space: a row is quoted whole.
    fn block(&mut self) {
        if self.rows > 0 || self.pre > 0 {
            // Collapsing one space cannot pass the text limit.
            let _ = self.flow.collapsed(" ");
        } else if self.items > 0 {
            self.flow.begin(BlockKind::ListItem);
        } else {
            self.flow.begin(BlockKind::Paragraph);
        }
    }
}

fn is_block(tag: &str) -> bool {
    matches!(
        tag,
        "p" | "div"
            | "section"
            | "article"
            | "main"
            | "header"
            | "footer"
            | "nav"
            | "aside"
            | "blockquote"
            | "address"
            | "figure"
            | "figcaption"
            | "ul"
            | "ol"
            | "dl"
            | "hr"
            | "body"
            | "caption"
            | "thead"
            | "tbody"
            | "tfoot"
            | "fieldset"
            | "details"
            | "summary"
            | "form"
            | "center"
    )
}

/// Hidden by attribute or inline style; style sheets are not computed.
fn is_hidden(data: &Data) -> bool {
    if data.attribute("hidden").is_some() || data.attribute("aria-hidden") == Some("true") {
        return true;
    }
    if data.tag() == "dialog" && data.attribute("open").is_none() {
        return true;
    }
    let Some(style) = data.attribute("style") else { return false };
    let style: String = style.chars().filter(|c| !c.is_whitespace()).take(4096).collect();
    let style = style.to_ascii_lowercase();
    ["display:none", "visibility:hidden", "visibility:collapse"].iter().any(|rule| style.contains(rule))
        || style.split(';').any(|rule| match rule.split_once(':') {
            Some(("opacity" | "font-size", size)) => is_zero(size),
            Some(("left" | "top" | "text-indent" | "margin-left", offset)) => is_off_page(offset),
            _ => false,
        })
}

/// A thousand and more of any unit to the left or above.
fn is_off_page(offset: &str) -> bool {
    let digits = offset.strip_prefix('-').unwrap_or_default();
    let number = digits.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '%');
    number.parse::<f32>().is_ok_and(|number| number >= 999.0)
}

fn is_zero(size: &str) -> bool {
    let number = size.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '%');
    number.parse::<f32>().is_ok_and(|number| number == 0.0)
}

fn text_under(tree: &Tree, id: NodeId) -> String {
    let nodes = tree.nodes();
    let mut text = String::new();
    let mut stack = vec![id];
    while let Some(id) = stack.pop() {
        if let Data::Text(more) = &nodes[id].data {
            text.push_str(more);
            text.push(' ');
        }
        stack.extend(nodes[id].children.iter().rev());
    }
    text
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
