//! Tables that can be filtered and sorted, and read without either.

use model::Micros;

use crate::markup::{Text, moment, put};

/// Rows beyond this are counted, not printed: a page must stay a page.
const MOST_ROWS: usize = 1_000;

/// A table in the making. Cells are finished HTML.
pub(crate) struct Table {
    id: &'static str,
    caption: String,
    head: String,
    body: String,
    rows: usize,
    left_out: usize,
}

impl Table {
    pub(crate) fn new(id: &'static str, caption: &str, columns: &[&str]) -> Self {
        let mut head = String::new();
        for column in columns {
            // A leading `#` marks a column of numbers.
            let (class, title) = match column.strip_prefix('#') {
                Some(title) => (" class=\"n\"", title),
                None => ("", *column),
            };
            put!(
                &mut head,
                "<th scope=\"col\"{class}><button type=\"button\" class=\"sort\">{}</button></th>",
                Text(title)
            );
        }
        let caption = caption.to_owned();
        Self { id, caption, head, body: String::new(), rows: 0, left_out: 0 }
    }

    /// Adds a row; `write` gets the cells' writer.
    pub(crate) fn row(&mut self, write: impl FnOnce(&mut Cells<'_>)) {
        if self.rows == MOST_ROWS {
            self.left_out += 1;
            return;
        }
        self.rows += 1;
        self.body.push_str("<tr>");
        write(&mut Cells { out: &mut self.body });
        self.body.push_str("</tr>");
    }

    pub(crate) fn finish(self, out: &mut String) {
        let Self { id, caption, head, body, rows, left_out } = self;
        let caption = Text(&caption);
        out.push_str("<div class=\"tablebox\">");
        if rows > 6 {
            put!(
                out,
                "<div class=\"tools js-only\"><label>Filter <input type=\"search\" data-table=\"{id}\" "
            );
            put!(
                out,
                "placeholder=\"name, service, reason\"></label><span class=\"hits\" \
                    aria-live=\"polite\">{rows} rows</span></div>"
            );
        }
        put!(
            out,
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\"><table \
                id=\"{id}\" class=\"rows\">"
        );
        put!(
            out,
            "<caption class=\"vh\">{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        );
        if left_out > 0 {
            put!(
                out,
                "<p class=\"hint\">{left_out} more rows are not printed here; the commands' csv output has \
                    them all.</p>"
            );
        }
        out.push_str("</div>");
    }
}

/// Writes the cells of one row.
pub(crate) struct Cells<'a> {
    out: &'a mut String,
}

impl Cells<'_> {
    /// Text from outside.
    pub(crate) fn text(&mut self, text: &str) {
        put!(self.out, "<td>{}</td>", Text(text));
    }

    /// Text from outside that must not wrap.
    pub(crate) fn name(&mut self, text: &str) {
        put!(self.out, "<td class=\"nm\">{}</td>", Text(text));
    }

    /// Code: services, addresses, places.
    pub(crate) fn code(&mut self, text: &str) {
        put!(self.out, "<td class=\"nm\"><code>{}</code></td>", Text(text));
    }

    /// A number, with what it sorts by.
    pub(crate) fn number(&mut self, key: impl std::fmt::Display, shown: &str) {
        put!(self.out, "<td class=\"n\" data-k=\"{key}\">{}</td>", Text(shown));
    }

    /// A moment; `shown` says it in words when there is none.
    pub(crate) fn time(&mut self, at: Micros, shown: Option<&str>) {
        match shown {
            Some(words) => put!(self.out, "<td class=\"nm\" data-k=\"{at}\">{}</td>", Text(words)),
            None => put!(self.out, "<td class=\"nm\" data-k=\"{at}\">{}</td>", moment(at)),
        }
    }

    /// Finished HTML.
    pub(crate) fn html(&mut self, write: impl FnOnce(&mut String)) {
        self.out.push_str("<td>");
        write(self.out);
        self.out.push_str("</td>");
    }
}
