//! `tokenizer.model` in a model's folder, Llama 4's vocabulary in a GGUF file, and files that are refused.

use weights::testing::{GgufWriter, safetensors};
use weights::{Array, Model, Value};

use super::vocabularies::{self, lines, merges, read, tiny_tokens};
use super::*;

/// What is said of the tiny file after `damage`.
fn refused(damage: impl Fn(&mut Vec<String>)) -> String {
    let tokens = tiny_tokens();
    let mut file: Vec<String> = lines(&tokens).lines().map(String::from).collect();
    damage(&mut file);
    read(&(file.join("\n") + "\n"), tokens.len() as u32).expect_err("refused").to_string()
}

#[test]
fn damaged_files_are_refused_by_name() {
    let ranks = tiny_tokens().len();
    assert!(refused(|file| file[2] = "w!== 2".into()).starts_with("tokenizer.model, line 3: bad base64"));
    assert!(refused(|file| file[2] = "wB== 2".into()).contains("bad base64"));
    assert!(refused(|file| file[2] = " 2".into()).contains("the token is empty"));
    for line in ["", "wA==", "wA==\t2", "\u{e9} 2"] {
        assert!(
            refused(|file| file[2] = line.into()).contains("line 3: it is not `base64 rank`"),
            "{line:?}"
        );
    }
    for rank in ["", "-2", "+2", "2 3", "x", "99999999999"] {
        assert!(refused(|file| file[2] = format!("wA== {rank}")).contains("is not"), "{rank:?}");
    }
    assert!(refused(|file| file[2] = format!("wA== {ranks}")).contains("past the last one"));
    assert!(refused(|file| file[2] = "wA== 1".into()).contains("line 3: rank 1 appears twice"));
    assert!(refused(|file| file[2] = format!("{} 2", "A".repeat(256))).contains("258 bytes, at most 256"));
    assert!(refused(|file| file.push("wA== 1".into())).contains(&format!("more than {ranks} lines")));
    let missing = refused(|file| drop(file.remove(7)));
    assert!(missing.contains("none of rank 7") && missing.contains(&ranks.to_string()), "{missing}");
    assert!(
        refused(|file| file[270] = file[260].replace("260", "270")).contains("under the ranks 260 and 270")
    );
    let other = refused(|file| file[3] = "cXF4 3".into());
    assert!(other.contains("no token for the byte 0x02"), "{other}");
}

#[test]
fn no_prefix_and_no_flipped_byte_of_a_file_makes_it_panic() {
    let tokens = tiny_tokens();
    let file = lines(&tokens).into_bytes();
    let read = |bytes: &[u8]| source::tiktoken::read(bytes, tokens.len() as u32);
    assert!(read(&file).is_ok());
    assert!(read(&file[..file.len() - 1]).is_ok(), "the last line end may be absent");
    assert!(read(&[]).is_err());
    for at in (0..file.len()).step_by(29) {
        let _ = read(&file[..at]);
        for bit in [0x01, 0x10, 0x80] {
            let mut changed = file.clone();
            changed[at] ^= bit;
            let _ = read(&changed);
        }
    }
}

#[test]
fn a_vocabulary_that_leads_to_endless_merges_is_refused() {
    let mut tokens = tiny_tokens();
    // Every part of one long random text is a token, so every token can be made in every way.
    let noise: Vec<u8> = (0..16u8).flat_map(|block| *blake3::hash(&[block]).as_bytes()).collect();
    let parts = (2..=180).flat_map(|len| noise.windows(len).map(<[u8]>::to_vec));
    let known: std::collections::HashSet<Vec<u8>> = tokens.iter().cloned().collect();
    let mut seen = known;
    tokens.extend(parts.filter(|part| seen.insert(part.clone())));
    let error = read(&lines(&tokens), tokens.len() as u32).expect_err("refused");
    assert_eq!(error.to_string(), "tokenizer.model has more than 1048576 merges");
}

/// A model folder with these files beside its weights.
fn folder(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Model) {
    let folder = tempfile::tempdir().expect("a folder");
    let weights = safetensors(&[("w", "F32", &[1], &[0; 4])]);
    for (name, bytes) in
        [("config.json", b"{}".as_slice()), ("model.safetensors", &weights)].iter().chain(files)
    {
        std::fs::write(folder.path().join(name), bytes).expect("written");
    }
    let model = Model::open(folder.path()).expect("opens");
    (folder, model)
}

#[test]
fn a_folder_without_tokenizer_json_is_read_by_its_tokenizer_model() {
    let refused = |files: &[(&str, &[u8])]| {
        let (_folder, model) = folder(files);
        Tokenizer::from_model(&model).expect_err("refused").to_string()
    };
    assert!(refused(&[]).contains("tokenizer.json or tokenizer.model"));
    let sentencepiece = b"\x0a\x0e\x0a\x05<unk>\x15\0\0\0\0\x18\x02\x0a\x05\x0a\x03<s>";
    assert!(refused(&[("tokenizer.model", sentencepiece)]).contains("SentencePiece"));
    let other = refused(&[("tokenizer.model", lines(&tiny_tokens()).as_bytes())]);
    assert!(other.contains("Llama 4 has 200000") && other.contains("need a tokenizer.json"), "{other}");
    let json = refused(&[("tokenizer.model", sentencepiece), ("tokenizer.json", b"{")]);
    assert!(json.starts_with("damaged tokenizer"), "tokenizer.json goes first: {json}");

    let (Some(file), Some(real)) = (vocabularies::real_file(), vocabularies::real()) else { return };
    let (_folder, model) = folder(&[("tokenizer.model", &file)]);
    let tokenizer = Tokenizer::from_model(&model).expect("reads");
    assert_eq!(tokenizer.content_hash(), real.ranked.content_hash());
    assert_eq!(tokenizer.vocab_size(), 202_048);
}

#[test]
fn a_gguf_file_of_llama4_gives_the_ids_of_its_ranks() {
    for vocabulary in vocabularies::all() {
        let alphabet = byte_level::alphabet();
        let mut tokens: Vec<String> =
            vocabulary.tokens.iter().map(|token| byte_level::spell(token, &alphabet)).collect();
        let mut types = vec![1; tokens.len()];
        tokens.extend(source::llama4::specials());
        types.resize(tokens.len(), 3);
        let merges: Vec<String> = merges(&vocabulary.tokens).iter().map(|pair| pair.join(" ")).collect();
        let names = |list: &[String]| Value::Array(Array::Str(list.to_vec()));
        let gguf = GgufWriter::new()
            .str("tokenizer.ggml.model", "gpt2")
            .str("tokenizer.ggml.pre", "llama4")
            .key("tokenizer.ggml.tokens", names(&tokens))
            .key("tokenizer.ggml.merges", names(&merges))
            .key("tokenizer.ggml.token_type", Value::Array(Array::I64(types)))
            .to_bytes();
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), gguf).expect("written");
        let model = Model::open(file.path()).expect("opens");
        let tokenizer = Tokenizer::from_model(&model).expect("reads");
        for text in
            ["a the xyzzy", " xyzzy", "plugh", "I'll DON'T\n/ 1234567 日本é!\n\n/x<|eot|>", "...///\n\n"]
        {
            let ids = vocabulary.ranked.encode_document(text).expect("encodes");
            assert_eq!(tokenizer.encode_document(text).expect("encodes"), ids, "{text:?}");
        }
        let eot = vocabulary.ranked.special_id("<|eot|>").expect("known");
        assert_eq!(tokenizer.encode_prompt("<|eot|>").expect("encodes"), [eot]);
    }
}
