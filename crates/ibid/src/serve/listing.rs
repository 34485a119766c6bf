//! Lists page by page: `limit`, `after`, `before`, `order`.

use super::refusal::Refusal;
use crate::rest::List;
use base::Id;
use catalog::{Listed, Page};
use serde::Deserialize;
use utoipa::IntoParams;

const MOST: u32 = 1_000;
/// Rows read at once where not all of them are listed.
const SIFTED: u32 = 500;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// 1 to 1,000
    #[param(minimum = 1, maximum = 1000, default = 20)]
    pub limit: Option<u32>,
    /// Id of the last object seen.
    pub after: Option<String>,
    /// Id of the first object seen.
    pub before: Option<String>,
    /// `asc` or `desc`
    #[param(inline)]
    pub order: Option<Order>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    Asc,
    Desc,
}

impl PageQuery {
    /// `order`: which way the list runs when nobody says.
    pub fn page(self, order: Order) -> Result<Page, Refusal> {
        let limit = self.limit.unwrap_or(20);
        if !(1..=MOST).contains(&limit) {
            return Err(Refusal::new(422, "bad_limit", format!("limit is {limit}; give 1 to {MOST}")));
        }
        let descending = self.order.unwrap_or(order) == Order::Desc;
        Ok(Page { limit, after: self.after, before: self.before, descending })
    }
}

/// A page of catalog rows as REST objects.
pub fn list<T, R>(listed: &Listed<T>, object: impl Fn(&T) -> R, id: impl Fn(&R) -> &str) -> List<R> {
    List::new(listed.items.iter().map(object).collect(), listed.has_more, id)
}

/// A page of those rows that `wanted` lets through: as many as asked for while there are any, so that a list never
/// seems to end, and no cursor points at what the caller may not know of. The page's cursors are taken as checked.
pub async fn sifted<T, F>(
    page: Page,
    rows: impl Fn(Page) -> F,
    id: impl Fn(&T) -> &Id,
    wanted: impl Fn(&T) -> bool,
) -> Result<Listed<T>, catalog::Error>
where
    F: Future<Output = Result<Listed<T>, catalog::Error>>,
{
    let limit = page.limit as usize;
    // In front of a cursor, the rows nearest to it are wanted: pages are read towards the front.
    let backwards = page.before.is_some() && page.after.is_none();
    let mut items: Vec<T> = Vec::new();
    let mut next = Page { limit: SIFTED, ..page };
    loop {
        let Listed { items: mut read, has_more } = rows(next.clone()).await?;
        let edge = if backwards { read.first() } else { read.last() };
        let edge = edge.map(|row| id(row).to_string());
        read.retain(|row| wanted(row));
        if backwards {
            read.append(&mut items);
            items = read;
        } else {
            items.append(&mut read);
        }
        let Some(edge) = edge.filter(|_| has_more && items.len() <= limit) else { break };
        if backwards { next.before = Some(edge) } else { next.after = Some(edge) }
    }
    let has_more = items.len() > limit;
    if backwards {
        items.drain(..items.len().saturating_sub(limit));
    } else {
        items.truncate(limit);
    }
    Ok(Listed { items, has_more })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::IdKind;

    /// Rows 0 .. 1,200 as the catalog would give them, oldest first.
    fn rows(page: Page) -> std::future::Ready<Result<Listed<Id>, catalog::Error>> {
        let all: Vec<Id> = (0..1_200).map(row).collect();
        let inside = |id: &&Id| {
            page.after.as_deref().is_none_or(|after| id.as_str() > after)
                && page.before.as_deref().is_none_or(|before| id.as_str() < before)
        };
        let mut items: Vec<Id> = all.iter().filter(inside).cloned().collect();
        let (limit, backwards) = (page.limit as usize, page.before.is_some() && page.after.is_none());
        let has_more = items.len() > limit;
        if backwards {
            items.drain(..items.len().saturating_sub(limit));
        } else {
            items.truncate(limit);
        }
        std::future::ready(Ok(Listed { items, has_more }))
    }

    fn row(n: u64) -> Id {
        Id::new(IdKind::Job, n, 0)
    }

    async fn page(after: Option<u64>, before: Option<u64>, wanted: &[u64]) -> (Vec<Id>, bool) {
        let cursor = |n: Option<u64>| n.map(|n| row(n).to_string());
        let page = Page { limit: 2, after: cursor(after), before: cursor(before), descending: false };
        let wanted: Vec<Id> = wanted.iter().copied().map(row).collect();
        let listed = sifted::<Id, _>(page, rows, |id| id, |id| wanted.contains(id)).await.unwrap();
        (listed.items, listed.has_more)
    }

    #[tokio::test]
    async fn a_sifted_page_is_full_while_there_is_anything() {
        let wanted = [3, 600, 1_100];
        assert_eq!(page(None, None, &wanted).await, (vec![row(3), row(600)], true));
        assert_eq!(page(Some(600), None, &wanted).await, (vec![row(1_100)], false));
        assert_eq!(page(None, Some(1_100), &wanted).await, (vec![row(3), row(600)], false));
        assert_eq!(page(None, Some(1_199), &wanted).await, (vec![row(600), row(1_100)], true));
        assert_eq!(page(None, None, &[]).await, (vec![], false));
    }
}
