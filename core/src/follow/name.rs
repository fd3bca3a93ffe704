//! Names of mailboxes on the wire: modified UTF-7 (RFC 3501 section 5.1.3), quoted where an atom will not do.

use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::NO_PAD;

const MODIFIED: GeneralPurpose = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD);

/// The name as a command carries it.
pub(super) fn spelled(name: &str) -> String {
    let name = modified_utf7(name);
    let is_atom = !name.is_empty() && name.bytes().all(is_atom_octet);
    if is_atom {
        return name;
    }
    let mut quoted = String::from("\"");
    for one in name.chars() {
        if matches!(one, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(one);
    }
    quoted.push('"');
    quoted
}

/// An atom's octets of RFC 9051's `ATOM-CHAR`, and `]`.
fn is_atom_octet(octet: u8) -> bool {
    octet.is_ascii_graphic() && !b"(){%*\"\\".contains(&octet)
}

/// Printable ASCII stands for itself but for `&`; all else is shifted to UTF-16 in base64, also CR and LF.
fn modified_utf7(name: &str) -> String {
    let mut spelled = String::new();
    let mut shifted: Vec<u8> = Vec::new();
    let flush = |shifted: &mut Vec<u8>, spelled: &mut String| {
        if !shifted.is_empty() {
            spelled.push('&');
            MODIFIED.encode_string(&shifted, spelled);
            spelled.push('-');
            shifted.clear();
        }
    };
    for one in name.chars() {
        if matches!(one, ' '..='~') {
            flush(&mut shifted, &mut spelled);
            spelled.push(one);
            if one == '&' {
                spelled.push('-');
            }
        } else {
            let mut units = [0; 2];
            shifted.extend(one.encode_utf16(&mut units).iter().flat_map(|unit| unit.to_be_bytes()));
        }
    }
    flush(&mut shifted, &mut spelled);
    spelled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_rfc_3501_says() {
        for (name, wire) in [
            ("INBOX", "INBOX"),
            ("[Gmail]/All Mail", "\"[Gmail]/All Mail\""),
            ("Entwürfe", "Entw&APw-rfe"),
            // RFC 3501 section 5.1.3.
            ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
            ("R&D", "R&-D"),
            ("a\"b\\c", "\"a\\\"b\\\\c\""),
            ("", "\"\""),
            ("x\r\nA1 DELETE INBOX", "\"x&AA0ACg-A1 DELETE INBOX\""),
            ("😀", "&2D3eAA-"),
        ] {
            assert_eq!(spelled(name), wire, "{name:?}");
        }
    }
}
