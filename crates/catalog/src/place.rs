//! Where on disk documents came from.

use std::collections::BTreeMap;

use base::Id;

use crate::{
    Catalog, Result, VersionId,
    row::{Columns, int},
};

impl Catalog {
    /// Document path → where on disk its newest version, visible or staged, was found. Documents without a recorded
    /// place are not among them.
    pub async fn places(&self, corpus: &Id) -> Result<BTreeMap<String, String>> {
        // By number, so that of each document the last row is the newest version.
        let rows = sqlx::query(
            "SELECT d.path, v.place FROM document d JOIN document_version v ON v.document_id = d.id
             WHERE d.corpus_id = ?1 AND v.visible_to IS NULL ORDER BY v.number",
        )
        .bind(corpus.as_str())
        .fetch_all(self.reader())
        .await?;
        let mut places = BTreeMap::new();
        for row in &rows {
            let path = row.text("path")?;
            match row.opt_text("place")? {
                Some(place) => places.insert(path, place),
                None => places.remove(&path),
            };
        }
        Ok(places)
    }

    /// Notes where the bytes of document versions were found, in one commit.
    pub async fn set_places(&self, places: &[(VersionId, String)]) -> Result<()> {
        let mut tx = self.write().await?;
        for (version, place) in places {
            sqlx::query("UPDATE document_version SET place = ?2 WHERE id = ?1")
                .bind(int("version", version.0)?)
                .bind(place)
                .execute(&mut *tx)
                .await?;
        }
        Ok(tx.commit().await?)
    }
}
