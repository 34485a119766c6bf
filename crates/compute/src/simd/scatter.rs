//! A row-major matrix that threads write in disjoint rectangles.

use std::marker::PhantomData;

use crate::Rows;

/// Exclusive access to a [`Rows`], shared out to tasks that each own some of its elements.
pub(crate) struct Scatter<'a> {
    data: *mut f32,
    n_rows: usize,
    width: usize,
    owner: PhantomData<&'a mut Rows>,
}

// SAFETY: it stands for a `&mut Rows`, which is `Send`; the caller of `segment` keeps the tasks apart.
unsafe impl Send for Scatter<'_> {}
// SAFETY: as above.
unsafe impl Sync for Scatter<'_> {}

impl<'a> Scatter<'a> {
    pub(crate) fn new(rows: &'a mut Rows) -> Self {
        let (n_rows, width) = (rows.n_rows(), rows.width());
        Self { data: rows.as_mut_slice().as_mut_ptr(), n_rows, width, owner: PhantomData }
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// `len` elements of row `row` from column `col` on. Every caller (matrix product: by columns, attention: by rows
    /// and heads) gives each element to one task only, and a task holds one segment at a time.
    #[allow(clippy::mut_from_ref)]
    #[inline(always)]
    pub(crate) fn segment(&self, row: usize, col: usize, len: usize) -> &mut [f32] {
        assert!(row < self.n_rows && col + len <= self.width, "segment inside the matrix");
        // SAFETY: inside the matrix (checked), alive for 'a, and owned by the calling task as documented.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(row * self.width + col), len) }
    }
}
