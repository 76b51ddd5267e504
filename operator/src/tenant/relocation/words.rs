//! The words of the programs that copy, without what a server adds to them: `DETAIL`, `CONTEXT` and the statement can have values of
//! the tenant's rows in them, and what becomes a failure is read by whoever may see the tenant's status or its events.

/// What a line begins with that is a program's or a server's own. The rest is additions and their further lines, of which the log
/// may have lost the beginning.
const OWN: [&str; 6] = ["pg_dump:", "pg_restore:", "psql:", "sh:", "ERROR:", "FATAL:"];

/// The words in a log, if there are any.
pub fn of(log: &str) -> Option<String> {
    let own = log.lines().map(str::trim_end).filter(|line| OWN.iter().any(|begin| line.starts_with(begin)));
    // A value that was refused is quoted after a colon; names are quoted otherwise.
    let words: Vec<_> = own.map(|line| line.split_once(": \"").map_or(line, |(words, _)| words)).collect();
    (!words.is_empty()).then(|| words.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_row_is_in_what_is_said_of_a_copy_that_failed() {
        let log = "\
copied tenant-service
pg_restore: error: could not execute query: ERROR:  could not create unique index \"contact_email\"
DETAIL:  Key (lower(email))=(ada@example.com) is duplicated.
Command was: CREATE UNIQUE INDEX contact_email ON t_aurora.contact (lower(email));

pg_restore: error: COPY failed for table \"contact\": ERROR:  new row violates check constraint \"named\"
DETAIL:  Failing row contains (1, Ada
Lovelace, London).
HINT:  Mend Ada.
CONTEXT:  COPY contact, line 3, column family_name: \"Love
lace\"
STATEMENT:  COPY contact FROM stdin;
";
        assert_eq!(
            of(log).as_deref(),
            Some(
                "pg_restore: error: could not execute query: ERROR:  could not create unique index \"contact_email\"; \
                 pg_restore: error: COPY failed for table \"contact\": ERROR:  new row violates check constraint \"named\""
            )
        );
    }

    #[test]
    fn a_log_that_begins_amid_a_row_says_nothing_of_it() {
        let log = "da@example.com, London).\nLovelace\npsql:<stdin>:3: ERROR:  permission denied for schema t_aurora\n";
        assert_eq!(of(log).as_deref(), Some("psql:<stdin>:3: ERROR:  permission denied for schema t_aurora"));
        assert_eq!(of("Lovelace, London).\n"), None);
        assert_eq!(of(""), None);
    }

    #[test]
    fn a_value_that_was_refused_is_left_out() {
        let log =
            "pg_restore: error: COPY failed for table \"contact\": ERROR:  invalid input syntax for type date: \"Ada\"";
        assert_eq!(
            of(log).as_deref(),
            Some("pg_restore: error: COPY failed for table \"contact\": ERROR:  invalid input syntax for type date")
        );
    }

    #[test]
    fn what_keeps_programs_from_connecting_is_said() {
        let log =
            "psql: error: connection to server at \"postgres.a.svc\" (10.0.0.1), port 5432 failed: Connection refused
\tIs the server running on that host and accepting TCP/IP connections?";
        assert_eq!(
            of(log).as_deref(),
            Some(
                "psql: error: connection to server at \"postgres.a.svc\" (10.0.0.1), port 5432 failed: Connection refused"
            )
        );
    }
}
