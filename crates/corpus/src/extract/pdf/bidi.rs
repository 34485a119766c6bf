//! Visual order → logical order for right-to-left scripts: the characters of a page come left to right.

use super::words::Word;

/// Hebrew, Arabic, Syriac, Thaana, N'Ko and the Arabic presentation forms.
fn is_rtl(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8FF}' | '\u{FB1D}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFC}' | '\u{10800}'..='\u{10FFF}')
}

fn word_is_rtl(word: &Word) -> bool {
    let rtl = word.glyphs.iter().filter(|g| is_rtl(g.text)).count();
    rtl > 0 && rtl * 2 >= word.glyphs.iter().filter(|g| g.text.is_alphabetic()).count()
}

/// Words of one line, left to right → in reading order, each word's characters too. A line whose words are mostly
/// right-to-left is read from the right; stretches of the other direction inside it keep their own order.
pub fn logical(words: Vec<Word>) -> Vec<Word> {
    let mut rtl: Vec<bool> = words.iter().map(word_is_rtl).collect();
    let n_rtl = rtl.iter().filter(|&&r| r).count();
    if n_rtl == 0 {
        return words;
    }
    let base_rtl =
        n_rtl * 2 >= words.iter().filter(|w| w.glyphs.iter().any(|g| g.text.is_alphabetic())).count();
    let mut words: Vec<Word> =
        words.into_iter().zip(&rtl).map(|(w, &r)| if r { backwards(w) } else { w }).collect();
    if base_rtl {
        words.reverse();
        rtl.reverse();
    }
    // Reverse each stretch that runs against the line.
    let mut at = 0;
    while at < words.len() {
        let end = at + rtl.iter().skip(at).take_while(|&&r| r != base_rtl).count();
        if let Some(stretch) = words.get_mut(at..end) {
            stretch.reverse();
        }
        at = end + 1;
    }
    // Blanks were noted on the left neighbour of a gap; after reordering every word border is a blank.
    for word in &mut words {
        word.space_after = true;
    }
    words
}

fn backwards(mut word: Word) -> Word {
    word.glyphs.reverse();
    word
}
