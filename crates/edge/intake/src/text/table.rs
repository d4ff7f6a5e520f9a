//! Tables as tools print them: a line of names, then values between separators, padded or not.

use memchr::memchr_iter;

/// Which column holds which field. A format numbers its fields below `FIELDS`.
pub(crate) struct Table<const FIELDS: usize> {
    separator: u8,
    columns: Vec<Option<usize>>,
    /// Lines end with a separator.
    closed: bool,
}

impl<const FIELDS: usize> Table<FIELDS> {
    /// The table of a line of names. `field` gives the number of a name that matters; the separator is the first of
    /// `separators` by which all the fields of `needed` are found.
    pub(crate) fn of_names(
        line: &[u8],
        separators: &[u8],
        field: fn(&[u8]) -> Option<usize>,
        needed: &[usize],
    ) -> Option<Self> {
        separators.iter().find_map(|separator| {
            let closed = line.last() == Some(separator);
            let line = if closed { &line[..line.len() - 1] } else { line };
            let columns: Vec<Option<usize>> =
                line.split(|byte| byte == separator).map(|name| field(name.trim_ascii())).collect();
            let found = needed.iter().all(|field| columns.contains(&Some(*field)));
            found.then_some(Self { separator: *separator, columns, closed })
        })
    }

    /// Whether a field has a column.
    pub(crate) fn has(&self, field: usize) -> bool {
        self.columns.contains(&Some(field))
    }

    /// The values of a line by their field, without padding; empty where there is none.
    pub(crate) fn values<'a>(&self, line: &'a [u8]) -> Result<[&'a [u8]; FIELDS], String> {
        let line = match line.strip_suffix(&[self.separator]) {
            Some(cut) if self.closed => cut,
            _ => line,
        };
        let mut values: [&[u8]; FIELDS] = [b""; FIELDS];
        let (mut from, mut count) = (0, 0);
        for to in memchr_iter(self.separator, line).chain(std::iter::once(line.len())) {
            if let Some(Some(field)) = self.columns.get(count)
                && let Some(value) = values.get_mut(*field)
                && value.is_empty()
            {
                *value = line[from..to].trim_ascii();
            }
            from = to + 1;
            count += 1;
        }
        if count != self.columns.len() {
            let expected = self.columns.len();
            return Err(format!(
                "the record has {count} values; expected {expected} as named by the first line"
            ));
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &[u8]) -> Option<usize> {
        [b"a", b"b"].iter().position(|known| *known == name)
    }

    #[test]
    fn values_are_found_by_name_whatever_separates_them() {
        let table = Table::<2>::of_names(b"  b|x|  a|", b",|", field, &[0, 1]).unwrap();
        assert_eq!(table.values(b" 1| 2|3 |"), Ok([&b"3"[..], b"1"]));
        assert_eq!(
            table.values(b"1|2|"),
            Err("the record has 2 values; expected 3 as named by the first line".into())
        );
        assert!(table.has(0) && Table::<2>::of_names(b"b,x", b",|", field, &[0]).is_none());
        let open = Table::<2>::of_names(b"a,b", b",|", field, &[0]).unwrap();
        assert_eq!(open.values(b"1,"), Ok([&b"1"[..], b""]));
    }
}
