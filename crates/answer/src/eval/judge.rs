//! One answer against its question: text, citations, precision and recall.

use super::{EvalQuestion, Judged, gold::GoldSpans, rule::contains};
use crate::{Answer, Grounding, Result};
use base::Id;
use catalog::Corpus;
use ingest::Ingest;
use std::collections::HashSet;

pub(super) async fn judge(
    ingest: &Ingest,
    corpus: &Corpus,
    question: &EvalQuestion,
    answer: &Answer,
    golds: &mut GoldSpans,
) -> Result<Judged> {
    // Words that nothing supports are no refusal: they were said.
    let refused = answer.grounding == Grounding::NotInCorpus && answer.text.is_empty();
    let holds = |list: &[String]| list.iter().any(|accepted| contains(&answer.text, accepted));
    let answer_right = !refused
        && holds(&question.accept)
        && (question.accept_also.is_empty() || holds(&question.accept_also));
    let (mut cited, mut gold_chars, mut shared) = (0, 0, 0);
    let mut hit_documents = 0;
    for gold in &question.gold {
        let spans = golds.find(ingest, corpus, gold).await?;
        let cited_chars: HashSet<u64> = cited_in(answer, &golds.document(ingest, corpus, gold).await?);
        let any_hit = spans.iter().any(|span| span.clone().any(|c| cited_chars.contains(&c)));
        hit_documents += u64::from(any_hit);
        let counted =
            spans.iter().find(|span| (*span).clone().any(|c| cited_chars.contains(&c))).or(spans.first());
        gold_chars += counted.map_or(0, |span| span.end - span.start);
        shared += counted.map_or(0, |span| span.clone().filter(|c| cited_chars.contains(c)).count() as u64);
    }
    for citation in &answer.citations {
        cited += citation.source.end_char - citation.source.start_char;
    }
    let citations_right = !question.gold.is_empty() && hit_documents == question.gold.len() as u64;
    let share = |whole: u64| if refused || whole == 0 { 0.0 } else { shared as f64 / whole as f64 };
    Ok(Judged {
        id: question.id.clone(),
        kind: question.kind.clone(),
        right: if question.gold.is_empty() { refused } else { answer_right && citations_right },
        answer_right,
        citations_right,
        refused,
        answerable: !question.gold.is_empty(),
        precision: share(cited),
        recall: share(gold_chars),
        text: answer.text.clone(),
        ttft_ms: answer.usage.ttft_ms,
        reused_corpus_tokens: answer.usage.reused_corpus_tokens,
        prefilled_corpus_tokens: answer.usage.prefilled_corpus_tokens,
        ranks: Vec::new(),
        pair: None,
        greedy: None,
        units: Vec::new(),
    })
}

fn cited_in(answer: &Answer, document: &Id) -> HashSet<u64> {
    answer
        .citations
        .iter()
        .filter(|c| c.source.document_id == document.as_str())
        .flat_map(|c| c.source.start_char..c.source.end_char)
        .collect()
}
