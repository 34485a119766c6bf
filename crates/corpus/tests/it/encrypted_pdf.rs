//! PDFs under standard encryption, revision 3 (ISO 32000-1, 7.6.3): RC4 with a key of 128 bits from MD5.

use corpus::State;
use md5::{Digest, Md5};

use crate::pdf_writer::{document, line};
use crate::program::extract;

/// ISO 32000-1, 7.6.3.3, algorithm 2, step a.
const PADDING: [u8; 32] = [
    0x28, 0xbf, 0x4e, 0x5e, 0x4e, 0x75, 0x8a, 0x41, 0x64, 0x00, 0x4e, 0x56, 0xff, 0xfa, 0x01, 0x08, 0x2e,
    0x2e, 0x00, 0xb6, 0xd0, 0x68, 0x3e, 0x80, 0x2f, 0x0c, 0xa9, 0xfe, 0x64, 0x53, 0x69, 0x7a,
];
const ID: [u8; 16] = *b"0123456789abcdef";
const PERMISSIONS: i32 = -4;

fn rc4(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut state: Vec<u8> = (0..=255).collect();
    let mut j = 0_usize;
    for i in 0..256 {
        j = (j + usize::from(state[i]) + usize::from(key[i % key.len()])) % 256;
        state.swap(i, j);
    }
    let (mut i, mut j) = (0_usize, 0_usize);
    let mut next = || {
        i = (i + 1) % 256;
        j = (j + usize::from(state[i])) % 256;
        state.swap(i, j);
        state[(usize::from(state[i]) + usize::from(state[j])) % 256]
    };
    data.iter().map(|byte| byte ^ next()).collect()
}

/// Twenty rounds, each under the key with the round's number in every byte.
fn rc4_rounds(key: &[u8], data: &[u8]) -> Vec<u8> {
    (0..20_u8).fold(data.to_vec(), |data, round| {
        rc4(&key.iter().map(|byte| byte ^ round).collect::<Vec<_>>(), &data)
    })
}

fn padded(password: &str) -> Vec<u8> {
    password.bytes().chain(PADDING).take(32).collect()
}

fn md5_rounds(first: &[u8]) -> Vec<u8> {
    (0..50).fold(Md5::digest(first).to_vec(), |hash, _| Md5::digest(&hash).to_vec())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A page that says "confidential", under these passwords.
pub fn encrypted(user: &str, owner: &str) -> Vec<u8> {
    let content = line(72, 700, "confidential");
    let mut pdf = document(&[""], "", "");
    let o = rc4_rounds(&md5_rounds(&padded(owner)), &padded(user));
    let key = md5_rounds(&[&padded(user)[..], &o, &PERMISSIONS.to_le_bytes(), &ID].concat());
    let mut u = rc4_rounds(&key, &Md5::digest([&PADDING[..], &ID].concat()));
    u.resize(32, 0);
    // Algorithm 1: the key of object 5, generation 0.
    let object_key = Md5::digest([&key[..], &[5, 0, 0, 0, 0]].concat());
    let stream = rc4(&object_key, content.as_bytes());
    pdf.objects.pop();
    pdf.stream("", &stream);
    let encrypt = pdf.add(format!(
        "<</Filter/Standard/V 2/R 3/Length 128/P {PERMISSIONS}/O<{}>/U<{}>>>",
        hex(&o),
        hex(&u)
    ));
    pdf.trailer = format!("/Encrypt {encrypt} 0 R/ID[<{0}><{0}>]", hex(&ID));
    pdf.bytes()
}

#[test]
fn a_file_with_a_password_needs_it() {
    for owner in ["secret", "other", ""] {
        let out = extract("a.pdf", &encrypted("secret", owner)).expect("a state");
        assert_eq!((out.state, out.text.as_str()), (State::NeedsPassword, ""), "owner password {owner:?}");
    }
}

#[test]
fn a_file_that_only_restricts_its_use_opens() {
    for owner in ["secret", ""] {
        let out = extract("a.pdf", &encrypted("", owner)).expect("text");
        assert_eq!(
            (out.state, out.text.as_str()),
            (State::Ready, "confidential"),
            "owner password {owner:?}"
        );
    }
}

#[test]
fn key_material_that_fits_no_password_needs_one() {
    let mut pdf = document(&["BT ET"], "", "");
    let filler = "00".repeat(32);
    let encrypt = pdf.add(format!("<</Filter/Standard/V 2/R 3/Length 128/P -4/O<{filler}>/U<{filler}>>>"));
    pdf.trailer = format!("/Encrypt {encrypt} 0 R/ID[<{0}><{0}>]", hex(&ID));
    let out = extract("a.pdf", &pdf.bytes()).expect("a state");
    assert_eq!((out.state, out.text.as_str()), (State::NeedsPassword, ""));
}
