//! Names of mailboxes: Unicode for programs, modified UTF-7 on the wire (RFC 3501 section 5.1.3).

use alloc::string::String;
use alloc::vec::Vec;

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/// A name as it goes over the wire. INBOX is the same in every spelling.
pub(in crate::testing) fn to_wire(name: &str) -> String {
    if name.eq_ignore_ascii_case("INBOX") {
        return String::from("INBOX");
    }
    let mut wire = String::new();
    let mut shifted: Vec<u16> = Vec::new();
    for one in name.chars() {
        if (' '..='~').contains(&one) {
            flush(&mut wire, &mut shifted);
            wire.push(one);
            if one == '&' {
                wire.push('-');
            }
        } else {
            shifted.extend(one.encode_utf16(&mut [0; 2]).iter());
        }
    }
    flush(&mut wire, &mut shifted);
    wire
}

fn flush(wire: &mut String, shifted: &mut Vec<u16>) {
    if shifted.is_empty() {
        return;
    }
    wire.push('&');
    let octets: Vec<u8> = shifted.drain(..).flat_map(u16::to_be_bytes).collect();
    for chunk in octets.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, octet| bits << 8 | u32::from(*octet));
        let bits = bits << (8 * (3 - chunk.len()));
        for digit in 0..=chunk.len() {
            let index = (bits >> (18 - 6 * digit)) & 63;
            wire.push(char::from(DIGITS.get(index as usize).copied().unwrap_or(b'A')));
        }
    }
    wire.push('-');
}

/// A name for programs. What is no modified UTF-7 stays as it is.
pub(in crate::testing) fn from_wire(wire: &str) -> String {
    decoded(wire).unwrap_or_else(|| String::from(wire))
}

fn decoded(wire: &str) -> Option<String> {
    let mut name = String::new();
    let mut rest = wire;
    while let Some((plain, behind)) = rest.split_once('&') {
        name.push_str(plain);
        let (shifted, after) = behind.split_once('-')?;
        if shifted.is_empty() {
            name.push('&');
        } else {
            name.push_str(&unshifted(shifted)?);
        }
        rest = after;
    }
    name.push_str(rest);
    Some(name)
}

fn unshifted(shifted: &str) -> Option<String> {
    let (mut bits, mut count) = (0_u32, 0);
    let mut units = Vec::new();
    for digit in shifted.bytes() {
        let value = DIGITS.iter().position(|one| *one == digit)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        count += 6;
        if count >= 16 {
            count -= 16;
            units.push(u16::try_from((bits >> count) & 0xFFFF).ok()?);
            bits &= (1 << count) - 1;
        }
    }
    String::from_utf16(&units).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_over_the_wire_and_come_back() {
        // RFC 3501 section 5.1.3.
        let name = "~peter/mail/\u{53f0}\u{5317}/\u{65e5}\u{672c}\u{8a9e}";
        assert_eq!(to_wire(name), "~peter/mail/&U,BTFw-/&ZeVnLIqe-");
        for name in [name, "Entwürfe", "Tom & Jerry", "\u{1f4e7}", "inbox/x", "a&b-c"] {
            assert_eq!(from_wire(&to_wire(name)), name);
        }
        assert_eq!(to_wire("InBox"), "INBOX");
        for wire in ["&", "&x", "&é-", "&2D0-"] {
            assert_eq!(from_wire(wire), wire);
        }
    }
}
