//! Lists page by page: `limit`, `after`, `before`, `order`.

use super::refusal::Refusal;
use crate::rest::List;
use catalog::{Listed, Page};
use serde::Deserialize;
use utoipa::IntoParams;

const MOST: u32 = 1_000;

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
