//! Dates as IMAP and mail headers write them. Inside, a date is milliseconds since 1970 in UTC.

use alloc::format;
use alloc::string::String;

const DAY_MS: i64 = 86_400_000;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The day of a date, counted from 1970.
pub(in crate::testing) fn day(date_ms: i64) -> i64 {
    date_ms.div_euclid(DAY_MS)
}

/// `date-time` of RFC 9051 section 9, as in INTERNALDATE.
pub(in crate::testing) fn internal_date(date_ms: i64) -> String {
    let (year, month, of_month) = civil(day(date_ms));
    let seconds = date_ms.rem_euclid(DAY_MS) / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let index = usize::try_from(month).unwrap_or(1).saturating_sub(1);
    let name = MONTHS.get(index).copied().unwrap_or("Jan");
    format!("{of_month:2}-{name}-{year:04} {hours:02}:{minutes:02}:{seconds:02} +0000")
}

/// Reads `date-time`: `24-Nov-2026 10:00:00 +0100`.
pub(in crate::testing) fn read_internal_date(text: &str) -> Option<i64> {
    let mut words = text.split_ascii_whitespace();
    let day = read_day(words.next()?)?;
    let time = time_of_day(words.next()?)?;
    Some(day.saturating_mul(DAY_MS).saturating_add(time).saturating_sub(zone(words.next()?)?))
}

/// Reads the `date` of a search key, `24-Nov-2026`, as a day.
pub(in crate::testing) fn read_day(text: &str) -> Option<i64> {
    let mut parts = text.split('-');
    let of_month = parts.next()?.parse().ok()?;
    let month = month(parts.next()?)?;
    let year = parts.next()?.parse().ok()?;
    parts.next().is_none().then_some(())?;
    days(year, month, of_month)
}

/// Reads the `Date` of a mail (RFC 5322 section 3.3).
pub(in crate::testing) fn read_header_date(text: &str) -> Option<i64> {
    let text = text.split_once(',').map_or(text, |(_, rest)| rest);
    let mut words = text.split_ascii_whitespace();
    let of_month = words.next()?.parse().ok()?;
    let month = month(words.next()?)?;
    let year = words.next()?.parse().ok()?;
    let time = time_of_day(words.next()?)?;
    let zone = words.next().and_then(zone).unwrap_or(0);
    let day = days(year, month, of_month)?;
    Some(day.saturating_mul(DAY_MS).saturating_add(time).saturating_sub(zone))
}

fn month(name: &str) -> Option<i64> {
    let at = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(name))?;
    i64::try_from(at).ok()?.checked_add(1)
}

fn time_of_day(text: &str) -> Option<i64> {
    let mut parts = text.split(':').map(str::parse::<i64>);
    let hours = parts.next()?.ok().filter(|hours| (0..24).contains(hours))?;
    let minutes = parts.next()?.ok().filter(|minutes| (0..60).contains(minutes))?;
    let seconds = parts.next().unwrap_or(Ok(0)).ok().filter(|one| (0..=60).contains(one))?;
    Some((hours * 3600 + minutes * 60 + seconds) * 1000)
}

/// `+0100`, in milliseconds.
fn zone(text: &str) -> Option<i64> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let number = digits.parse::<u16>().ok().filter(|_| digits.len() == 4)?;
    Some(sign * i64::from(number / 100 * 60 + number % 100) * 60_000)
}

/// Days since 1970 of a date of the Gregorian calendar, in the years that mail knows.
fn days(year: i64, month: i64, of_month: i64) -> Option<i64> {
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&of_month) {
        return None;
    }
    // Years begin in March here: the leap day is the last one of a year.
    let shifted = if month > 2 { year } else { year - 1 };
    let era = shifted.div_euclid(400);
    let of_era = shifted.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + of_month - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

fn civil(day: i64) -> (i64, i64, i64) {
    // Far from any mail, the arithmetic below would overflow.
    let shifted = day.clamp(-719_000, 2_932_000) + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_and_written() {
        assert_eq!(read_internal_date("24-Nov-2026 10:00:00 +0000"), Some(1_795_514_400_000));
        assert_eq!(read_internal_date(" 1-Jan-1970 01:00:00 +0100"), Some(0));
        assert_eq!(
            read_header_date("Tue, 24 Nov 2026 05:00:00 -0500"),
            read_internal_date("24-Nov-2026 10:00:00 +0000")
        );
        for text in ["29-Feb-2024 23:59:59 +0000", "31-Dec-1999 00:00:00 +0000"] {
            assert_eq!(internal_date(read_internal_date(text).unwrap()), text);
        }
        assert_eq!(internal_date(0), " 1-Jan-1970 00:00:00 +0000");
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in ["", "24-Nov", "0-Nov-2026", "24-Foo-2026", "24-Nov-99999", "1-2-3-4", "é-é-é"]
        {
            assert_eq!(read_day(text), None, "{text}");
        }
        for text in ["24-Nov-2026 25:00:00 +0000", "24-Nov-2026 10:00:00 é", "24-Nov-2026 10"] {
            assert_eq!(read_internal_date(text), None, "{text}");
        }
        assert!(!internal_date(i64::MAX).is_empty());
        assert!(!internal_date(i64::MIN).is_empty());
    }
}
