//! Where one page lies, as the parser of the text sees it: the image of a page follows the text, not a second opinion.

use super::{MEDIA_TYPE, Sheet, malformed, n_pages, open};
use crate::extract::{ExtractError, Limits};

/// One page of a document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PagePlace {
    /// From 0.
    pub at: usize,
    pub sheet: Sheet,
    /// Object number and generation of the page's (first) content stream, where it has one of its own.
    pub contents: Option<(u32, u32)>,
}

/// Finds page `page` (from 1). Errors: [`ExtractError::NeedsPassword`], [`ExtractError::NoSuchPage`], damage and limits
/// as extraction has them.
pub(crate) fn page_place(bytes: &[u8], page: u32, limits: &Limits) -> Result<PagePlace, ExtractError> {
    let document = open(bytes, limits)?;
    if document.locked() {
        return Err(ExtractError::NeedsPassword { media_type: MEDIA_TYPE.to_owned() });
    }
    let pages = n_pages(&document, limits)?;
    let at = usize::try_from(page).ok().and_then(|page| page.checked_sub(1)).filter(|at| *at < pages);
    let Some(at) = at else { return Err(ExtractError::NoSuchPage { page, pages: pages as u64 }) };
    Ok(PagePlace {
        at,
        sheet: document.sheet(at).map_err(malformed)?,
        contents: document.contents(at).map_err(malformed)?,
    })
}
