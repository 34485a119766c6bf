//! Marks invisible text in a content stream. The backend keeps the marked-content id of every character but not
//! its render mode, so text shown in mode 3 or 7 (ISO 32000-1, 9.3.6: neither filled nor stroked) is wrapped in
//! marked content with an id of our own before the backend reads the stream.

/// Id of our marked content; real ids count the content of one page from 0.
pub const INVISIBLE: u32 = 987_654_321;

const OPEN: &[u8] = b" /Span <</MCID 987654321>> BDC ";
const CLOSE: &[u8] = b" EMC ";

/// What the walk over a stream found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Marked {
    pub stream: Vec<u8>,
    /// Text-showing operators that paint, and that do not.
    pub n_visible: usize,
    pub n_invisible: usize,
}

/// Copies `stream`, wrapping every invisible text-showing operator, and every form for which `form_is_invisible`.
pub fn mark(stream: &[u8], mut form_is_invisible: impl FnMut(&[u8]) -> bool) -> Marked {
    let mut out = Marked::default();
    let mut modes: Vec<u8> = Vec::new();
    let mut mode = 0_u8;
    let (mut at, mut operands_at) = (0, 0);
    let mut operand: &[u8] = b"";
    while let Some((start, end)) = token(stream, at) {
        let Some(text) = stream.get(start..end) else { break };
        let operator = text.first().is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, b'\'' | b'"'));
        at = end;
        if !operator {
            operand = text;
            continue;
        }
        if text == b"BI" {
            at = inline_image_end(stream, end);
        }
        let whole = stream.get(operands_at..at).unwrap_or_default();
        let shows = matches!(text, b"Tj" | b"TJ" | b"'" | b"\"");
        match text {
            b"q" => modes.push(mode),
            b"Q" => mode = modes.pop().unwrap_or(mode),
            b"Tr" => mode = operand.first().map_or(0, |c| c.wrapping_sub(b'0')),
            _ => {}
        }
        let invisible = matches!(mode, 3 | 7);
        let wrap = (shows && invisible)
            || (text == b"Do"
                && (invisible || form_is_invisible(operand.strip_prefix(b"/").unwrap_or(operand))));
        out.n_visible += usize::from(shows && !invisible);
        out.n_invisible += usize::from(shows && invisible);
        if wrap {
            out.stream.extend_from_slice(OPEN);
        }
        out.stream.extend_from_slice(whole);
        if wrap {
            out.stream.extend_from_slice(CLOSE);
        }
        operands_at = at;
    }
    out.stream.extend_from_slice(stream.get(operands_at..).unwrap_or_default());
    out
}

/// Whether the stream can change the render mode at all; most cannot, and are left as they are.
pub fn sets_render_mode(stream: &[u8]) -> bool {
    stream.windows(2).any(|w| w == b"Tr")
}

fn is_space(c: u8) -> bool {
    matches!(c, b'\0' | b'\t' | b'\n' | 0x0C | b'\r' | b' ')
}

/// Next token at or after `at`; an array or a dictionary is taken apart, which is all the same for finding operators.
fn token(stream: &[u8], mut at: usize) -> Option<(usize, usize)> {
    loop {
        let &c = stream.get(at)?;
        if is_space(c) {
            at += 1;
        } else if c == b'%' {
            at += stream.get(at..)?.iter().take_while(|&&c| c != b'\n' && c != b'\r').count();
        } else {
            break;
        }
    }
    let rest = stream.get(at..)?;
    let length = match rest.first()? {
        b'(' => string_length(rest),
        b'<' if rest.get(1) != Some(&b'<') => {
            rest.iter().position(|&c| c == b'>').map_or(rest.len(), |p| p + 1)
        }
        b'<' | b'>' | b'[' | b']' | b'{' | b'}' | b')' => 1,
        _ => 1 + rest.iter().skip(1).take_while(|&&c| !is_space(c) && !b"()<>[]{}/%".contains(&c)).count(),
    };
    Some((at, at + length))
}

/// Length of a literal string with its brackets; the rest of the stream if it never closes.
fn string_length(rest: &[u8]) -> usize {
    let (mut depth, mut escaped) = (0_usize, false);
    for (at, &c) in rest.iter().enumerate() {
        match c {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'(' => depth += 1,
            b')' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    rest.len()
}

/// End of `BI … ID data EI`, from just after `BI`: the first `EI` between white space after `ID`.
fn inline_image_end(stream: &[u8], from: usize) -> usize {
    let rest = stream.get(from..).unwrap_or_default();
    let data = rest.windows(2).position(|w| w == b"ID").map_or(rest.len(), |p| p + 2);
    let tail = rest.get(data..).unwrap_or_default();
    let end = tail.windows(3).enumerate().position(|(at, w)| {
        matches!(w, [s, b'E', b'I'] if is_space(*s)) && tail.get(at + 3).is_none_or(|&c| is_space(c))
    });
    from + data + end.map_or(tail.len(), |p| p + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(stream: &str) -> (String, usize, usize) {
        let out = mark(stream.as_bytes(), |name| name == b"Fm1");
        (String::from_utf8(out.stream).unwrap(), out.n_visible, out.n_invisible)
    }

    #[test]
    fn only_text_in_mode_3_or_7_is_wrapped() {
        let (text, visible, invisible) = marked("BT (a) Tj 3 Tr (b\\) Tj) Tj 0 Tr [(c)] TJ ET");
        assert_eq!((visible, invisible), (2, 1));
        assert!(text.contains("BDC  (b\\) Tj) Tj EMC"), "{text}");
        assert_eq!(text.matches("BDC").count(), 1);
    }

    #[test]
    fn the_mode_is_saved_and_restored_with_the_graphics_state() {
        let (_, visible, invisible) = marked("q 7 Tr (x) Tj Q (y) Tj");
        assert_eq!((visible, invisible), (1, 1));
    }

    #[test]
    fn invisible_forms_are_wrapped_and_images_are_skipped() {
        let (text, ..) = marked("/Fm1 Do /Im1 Do BI /W 1 ID 3 Tr (z) Tj\nEI (v) Tj");
        assert_eq!(text.matches("BDC").count(), 1);
        assert!(text.ends_with("(v) Tj"), "{text}");
    }

    #[test]
    fn a_stream_that_breaks_off_is_copied_whole() {
        for stream in ["(never closed", "<41", "BI /W 1 ID xx", "3 Tr (a", "Q Q Q", "%", "["] {
            assert!(mark(stream.as_bytes(), |_| false).stream.ends_with(stream.as_bytes()));
        }
    }
}
