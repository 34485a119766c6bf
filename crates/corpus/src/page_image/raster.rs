//! The painter (`hayro`) behind one function. It parses the file a second time; which page, and where its points are
//! seen, is not its choice.

use hayro::hayro_interpret::InterpreterSettings;
use hayro::hayro_syntax::object::Array;
use hayro::hayro_syntax::page::Page;
use hayro::hayro_syntax::{DecryptionError, LoadPdfError, Pdf};
use hayro::kurbo::Affine;
use hayro::vello_cpu::color::palette::css::WHITE;
use hayro::vello_cpu::{Pixmap, RasterizerSettings, RenderContext, Resources, TargetInit};
use hayro::{RenderCache, RenderSettings};

use super::canvas::Canvas;
use crate::extract::ExtractError;
use crate::extract::pdf::{self, PagePlace, Sheet};

/// Paints a page on white.
pub fn paint(bytes: Vec<u8>, place: &PagePlace, canvas: Canvas) -> Result<Pixmap, ExtractError> {
    let damaged = |detail: String| ExtractError::malformed(pdf::MEDIA_TYPE, 0, detail);
    let document = Pdf::new(bytes).map_err(|error| match error {
        LoadPdfError::Decryption(DecryptionError::PasswordProtected) => {
            ExtractError::NeedsPassword { media_type: pdf::MEDIA_TYPE.to_owned() }
        }
        LoadPdfError::Decryption(error) => damaged(format!("its encryption cannot be undone: {error:?}")),
        LoadPdfError::Invalid => damaged("its pages cannot be shown".into()),
    })?;
    let page = find(document.pages(), place).ok_or_else(|| {
        damaged(format!("page {} cannot be shown: it is hard to tell which one it is", place.at + 1))
    })?;
    // The painter paints nothing outside of the box that it sees: a blank page would look like the real one.
    if !overlap(page, place.sheet) {
        return Err(damaged(format!(
            "page {} cannot be shown: its boxes contradict each other",
            place.at + 1
        )));
    }
    let mut context = RenderContext::new(canvas.width, canvas.height);
    hayro::render_into(
        page,
        &RenderCache::new(),
        &InterpreterSettings::default(),
        &RenderSettings::default(),
        &mut context,
        Affine::new(canvas.matrix(place.sheet)),
    );
    context.flush();
    let mut picture = Pixmap::new(canvas.width, canvas.height);
    let on_white = RasterizerSettings { target_init: TargetInit::Clear(WHITE), ..Default::default() };
    context.render_with(&mut picture, &mut Resources::default(), on_white);
    Ok(picture)
}

/// The page with the same content as the text's, for the two parsers number the pages of an odd page tree in two ways.
fn find<'a>(pages: &'a [Page<'a>], place: &PagePlace) -> Option<&'a Page<'a>> {
    let same = |page: &&Page<'_>| contents(page) == place.contents;
    let by_content = || pages.iter().find(same).filter(|_| place.contents.is_some());
    pages.get(place.at).filter(same).or_else(by_content)
}

fn overlap(page: &Page<'_>, sheet: Sheet) -> bool {
    let seen = page.intersected_crop_box();
    let [left, bottom, width, height] = [sheet.left, sheet.bottom, sheet.width, sheet.height].map(f64::from);
    seen.x0.max(left) < seen.x1.min(left + width) && seen.y0.max(bottom) < seen.y1.min(bottom + height)
}

fn contents(page: &Page<'_>) -> Option<(u32, u32)> {
    let dict = page.raw();
    let first = || dict.get::<Array<'_>>("Contents")?.raw_iter().next()?.as_obj_ref();
    let reference = dict.get_ref("Contents").or_else(first)?;
    Some((reference.obj_number, u32::try_from(reference.gen_number).ok()?))
}
