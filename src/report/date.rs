//! The date of a measurement.

/// Number of seconds of a day.
const DAY: u64 = 24 * 60 * 60;

/// Date and time that are `unix_seconds` after the beginning of 1970, like `2026-11-21 14:33 UTC`.
///
/// Years begin in March here, so that the leap day is the last day of a year (Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`).
pub fn of(unix_seconds: u64) -> String {
    let (days, seconds) = (unix_seconds / DAY + 719_468, unix_seconds % DAY);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = (from_march + 2) % 12 + 1;
    let year = 400 * era + year_of_era + u64::from(month <= 2);
    let (hour, minute) = (seconds / 3_600, seconds % 3_600 / 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_leap_days_every_four_years_but_not_every_hundred() {
        let cases = [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_399, "2000-02-28 23:59 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (951_868_800, "2000-03-01 00:00 UTC"),
            (1_795_905_180, "2026-11-28 22:33 UTC"),
            (4_107_542_400, "2100-03-01 00:00 UTC"),
            (1_798_761_599, "2026-12-31 23:59 UTC"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(of(seconds), expected);
        }
    }
}
