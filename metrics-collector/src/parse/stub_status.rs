//! nginx' `stub_status`.

/// What one balancer says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StubStatus {
    /// Open client connections.
    pub active: u64,
    /// Requests since it started.
    pub requests: u64,
}

/// `None` when the text is not a `stub_status`.
#[must_use]
pub fn parse(text: &str) -> Option<StubStatus> {
    let mut lines = text.lines();
    let active = lines.next()?.strip_prefix("Active connections:")?.trim().parse().ok()?;
    let header = lines.next()?.split_ascii_whitespace();
    let place = header.skip(1).position(|word| word == "requests")?;
    let requests = lines.next()?.split_ascii_whitespace().nth(place)?.parse().ok()?;
    Some(StubStatus { active, requests })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_page_is_read() {
        let status = parse(include_str!("../../tests/golden/stub_status.txt"));
        assert_eq!(status, Some(StubStatus { active: 291, requests: 31_070_465 }));
    }

    #[test]
    fn anything_else_is_no_status() {
        for text in
            ["", "<html>404</html>", "Active connections: many\n", "Active connections: 1\nserver accepts\n 1\n"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
