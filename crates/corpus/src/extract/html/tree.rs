//! The parsed document as an arena: nodes are numbers, so dropping and walking need no recursion.

#![cfg_attr(
    not(test),
    expect(
        clippy::indexing_slicing,
        reason = "nodes are never removed from the arena, so every number it gave out is good"
    )
)]

use std::borrow::Cow;
use std::cell::{Cell, Ref, RefCell};

use html5ever::interface::{ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::tendril::StrTendril;
use html5ever::{Attribute, QualName, expanded_name, local_name, ns};

pub type NodeId = usize;

/// What a node is.
#[derive(Debug)]
pub enum Data {
    Document,
    Element {
        name: QualName,
        attributes: Vec<Attribute>,
    },
    Text(String),
    /// Comments, processing instructions: kept out of the text.
    Other,
}

/// One node; links are arena numbers.
#[derive(Debug)]
pub struct Node {
    pub data: Data,
    pub parent: Option<NodeId>,
    pub children: Vec<NodeId>,
    depth: u64,
}

/// The sink that the parser builds into.
#[derive(Debug)]
pub struct Tree {
    nodes: RefCell<Vec<Node>>,
    depth: Cell<u64>,
}

pub const ROOT: NodeId = 0;

impl Tree {
    pub fn new() -> Self {
        let root = Node { data: Data::Document, parent: None, children: Vec::new(), depth: 0 };
        Self { nodes: RefCell::new(vec![root]), depth: Cell::new(0) }
    }

    /// Deepest nesting reached.
    pub fn depth(&self) -> u64 {
        self.depth.get()
    }

    /// Nodes made.
    pub fn len(&self) -> u64 {
        self.nodes.borrow().len() as u64
    }

    pub fn nodes(&self) -> Ref<'_, Vec<Node>> {
        self.nodes.borrow()
    }

    fn add(&self, data: Data) -> NodeId {
        let mut nodes = self.nodes.borrow_mut();
        nodes.push(Node { data, parent: None, children: Vec::new(), depth: 0 });
        nodes.len() - 1
    }

    fn insert(&self, parent: NodeId, before: Option<NodeId>, child: NodeOrText<NodeId>) {
        let place = |nodes: &Vec<Node>| {
            let children = &nodes[parent].children;
            before.and_then(|before| children.iter().rposition(|&id| id == before)).unwrap_or(children.len())
        };
        let child = match child {
            NodeOrText::AppendNode(child) => {
                self.remove_from_parent(&child);
                child
            }
            NodeOrText::AppendText(text) => {
                let mut nodes = self.nodes.borrow_mut();
                let place = place(&nodes);
                let previous = place.checked_sub(1).and_then(|at| nodes[parent].children.get(at)).copied();
                if let Some(previous) = previous
                    && let Data::Text(existing) = &mut nodes[previous].data
                {
                    existing.push_str(&text);
                    return;
                }
                drop(nodes);
                self.add(Data::Text(text.to_string()))
            }
        };
        let mut nodes = self.nodes.borrow_mut();
        let place = place(&nodes);
        let depth = nodes[parent].depth + 1;
        nodes[child].parent = Some(parent);
        nodes[child].depth = depth;
        nodes[parent].children.insert(place, child);
        self.depth.set(self.depth.get().max(depth));
    }
}

impl TreeSink for Tree {
    type Handle = NodeId;
    type Output = Self;
    type ElemName<'a> = Ref<'a, QualName>;

    fn finish(self) -> Self {
        self
    }

    fn parse_error(&self, _message: Cow<'static, str>) {}

    fn get_document(&self) -> NodeId {
        ROOT
    }

    fn elem_name<'a>(&'a self, target: &'a NodeId) -> Ref<'a, QualName> {
        Ref::map(self.nodes.borrow(), |nodes| match &nodes[*target].data {
            Data::Element { name, .. } => name,
            _ => unreachable!("the parser asks for names of elements only"),
        })
    }

    fn create_element(&self, name: QualName, attributes: Vec<Attribute>, _flags: ElementFlags) -> NodeId {
        self.add(Data::Element { name, attributes })
    }

    fn create_comment(&self, _text: StrTendril) -> NodeId {
        self.add(Data::Other)
    }

    fn create_pi(&self, _target: StrTendril, _data: StrTendril) -> NodeId {
        self.add(Data::Other)
    }

    fn append(&self, parent: &NodeId, child: NodeOrText<NodeId>) {
        self.insert(*parent, None, child);
    }

    fn append_based_on_parent_node(&self, element: &NodeId, previous: &NodeId, child: NodeOrText<NodeId>) {
        let parent = self.nodes.borrow()[*element].parent;
        match parent {
            Some(parent) => self.insert(parent, Some(*element), child),
            None => self.insert(*previous, None, child),
        }
    }

    fn append_doctype_to_document(&self, _name: StrTendril, _public: StrTendril, _system: StrTendril) {}

    /// A template's contents are its own children here; the walk skips them.
    fn get_template_contents(&self, target: &NodeId) -> NodeId {
        *target
    }

    fn same_node(&self, x: &NodeId, y: &NodeId) -> bool {
        x == y
    }

    fn set_quirks_mode(&self, _mode: QuirksMode) {}

    fn append_before_sibling(&self, sibling: &NodeId, child: NodeOrText<NodeId>) {
        let parent = self.nodes.borrow()[*sibling].parent;
        if let Some(parent) = parent {
            self.insert(parent, Some(*sibling), child);
        }
    }

    fn add_attrs_if_missing(&self, target: &NodeId, more: Vec<Attribute>) {
        if let Data::Element { attributes, .. } = &mut self.nodes.borrow_mut()[*target].data {
            for attribute in more {
                if !attributes.iter().any(|known| known.name == attribute.name) {
                    attributes.push(attribute);
                }
            }
        }
    }

    fn remove_from_parent(&self, target: &NodeId) {
        let mut nodes = self.nodes.borrow_mut();
        if let Some(parent) = nodes[*target].parent.take() {
            nodes[parent].children.retain(|id| id != target);
        }
    }

    fn reparent_children(&self, node: &NodeId, new_parent: &NodeId) {
        let mut nodes = self.nodes.borrow_mut();
        let children = std::mem::take(&mut nodes[*node].children);
        let depth = nodes[*new_parent].depth + 1;
        for &child in &children {
            nodes[child].parent = Some(*new_parent);
            nodes[child].depth = depth;
        }
        nodes[*new_parent].children.extend(children);
    }

    fn is_mathml_annotation_xml_integration_point(&self, handle: &NodeId) -> bool {
        let name = self.elem_name(handle);
        if name.expanded() != expanded_name!(mathml "annotation-xml") {
            return false;
        }
        match &self.nodes.borrow()[*handle].data {
            Data::Element { attributes, .. } => attributes.iter().any(|attribute| {
                attribute.name.local == local_name!("encoding")
                    && (attribute.value.eq_ignore_ascii_case("text/html")
                        || attribute.value.eq_ignore_ascii_case("application/xhtml+xml"))
            }),
            _ => false,
        }
    }

    fn allow_declarative_shadow_roots(&self, _parent: &NodeId) -> bool {
        false
    }
}

impl Data {
    /// Local name of an HTML element; empty for anything else.
    pub fn tag(&self) -> &str {
        match self {
            Self::Element { name, .. } if name.ns == ns!(html) => &name.local,
            _ => "",
        }
    }

    /// Drawings (SVG, with styles, scripts and labels of its own) and the notes of a formula, which repeat it in
    /// another notation.
    pub fn is_foreign_drawing_or_note(&self) -> bool {
        let Self::Element { name, .. } = self else { return false };
        name.ns == ns!(svg)
            || (name.ns == ns!(mathml) && matches!(&*name.local, "annotation" | "annotation-xml"))
    }

    /// Value of an attribute.
    pub fn attribute(&self, wanted: &str) -> Option<&str> {
        match self {
            Self::Element { attributes, .. } => attributes
                .iter()
                .find(|attribute| &*attribute.name.local == wanted)
                .map(|attribute| &*attribute.value),
            _ => None,
        }
    }
}
