//! The model's chat template (Jinja, from GGUF metadata or `tokenizer_config.json`), run with bounded fuel.

use crate::{Error, Result};
use minijinja::{Environment, UndefinedBehavior, context, syntax::SyntaxConfig};
use serde::Serialize;

/// Steps a template may take; the templates of known models take a few hundred.
const FUEL: u64 = 200_000;
/// Stands for the message text while the template is rendered; private-use characters no template writes.
const SENTINEL: &str = "\u{F8F0}\u{F8F1}\u{F8F2}";

#[derive(Debug, Clone, Serialize)]
pub struct Message {
    pub role: String,
    pub content: String,
}

impl Message {
    pub fn new(role: &str, content: &str) -> Self {
        Self { role: role.into(), content: content.into() }
    }
}

#[derive(Debug, Clone)]
pub struct ChatTemplate {
    source: String,
    bos: String,
    eos: String,
}

impl ChatTemplate {
    pub fn new(source: String, bos: String, eos: String) -> Self {
        Self { source, bos, eos }
    }

    pub fn render(&self, messages: &[Message]) -> Result<String> {
        let mut env = Environment::new();
        env.set_fuel(Some(FUEL));
        env.set_undefined_behavior(UndefinedBehavior::Lenient);
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        env.set_syntax(syntax.map_err(|source| Error::Template { source })?);
        env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        env.add_function(
            "raise_exception",
            |message: String| -> std::result::Result<String, minijinja::Error> {
                Err(minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, message))
            },
        );
        let messages: Vec<minijinja::Value> =
            messages.iter().map(|m| context! { role => &m.role, content => &m.content }).collect();
        env.render_str(
            &self.source,
            context! { messages, add_generation_prompt => true, bos_token => &self.bos, eos_token => &self.eos },
        )
        .map_err(|source| Error::Template { source })
    }

    /// The text before and after the user's words: (`<|im_start|>system…user\n`, `<|im_end|>\n<|im_start|>assistant\n`).
    pub fn around_user(&self, system: &str) -> Result<(String, String)> {
        let text = self.render(&[Message::new("system", system), Message::new("user", SENTINEL)])?;
        match text.split(SENTINEL).collect::<Vec<_>>().as_slice() {
            [before, after] => Ok(((*before).to_owned(), (*after).to_owned())),
            _ => Err(Error::TemplateSplitsContent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHATML: &str = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + \
        message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}\
        {{ '<|im_start|>assistant\n' }}{% endif %}";

    fn template(source: &str) -> ChatTemplate {
        ChatTemplate::new(source.into(), String::new(), String::new())
    }

    #[test]
    fn the_user_text_is_cut_out_exactly() {
        let (before, after) = template(CHATML).around_user("Be short.").unwrap();
        assert_eq!(before, "<|im_start|>system\nBe short.<|im_end|>\n<|im_start|>user\n");
        assert_eq!(after, "<|im_end|>\n<|im_start|>assistant\n");
    }

    /// As Llama 4 is asked: no default system prompt, two line feeds behind a header, and room for the answer.
    #[test]
    fn the_form_of_llama4() {
        let template = template(
            "{{- bos_token }}{%- for message in messages %}{{- '<|header_start|>' + message['role'] + '<|header_end|>\n\n' \
             + message['content'] + '<|eot|>' }}{%- endfor %}{%- if add_generation_prompt %}\
             {{- '<|header_start|>assistant<|header_end|>\n\n' }}{%- endif %}",
        );
        let template = ChatTemplate { bos: "<|begin_of_text|>".into(), ..template };
        let messages = [Message::new("system", "You are a helpful assistant"), Message::new("user", "Hi")];
        assert_eq!(
            template.render(&messages).unwrap(),
            "<|begin_of_text|><|header_start|>system<|header_end|>\n\nYou are a helpful assistant<|eot|>\
             <|header_start|>user<|header_end|>\n\nHi<|eot|><|header_start|>assistant<|header_end|>\n\n"
        );
    }

    #[test]
    fn an_endless_template_runs_out_of_fuel() {
        let endless = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
        assert!(matches!(template(endless).render(&[]), Err(Error::Template { .. })));
    }

    #[test]
    fn a_template_that_repeats_the_text_is_refused() {
        let twice = "{{ messages[1].content }}{{ messages[1].content }}";
        assert!(matches!(template(twice).around_user("s"), Err(Error::TemplateSplitsContent)));
    }
}
