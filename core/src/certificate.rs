//! Whose certificate it was that a handshake failed for: issuer, names and dates, from its DER (RFC 5280).
//!
//! It is read for the sentence only. Nothing is verified here, and nothing of it is believed: hosts verify with their TLS
//! library, which has refused it.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;
use core::net::{Ipv4Addr, Ipv6Addr};

use der::asn1::AnyRef;
use der::{Decode, Header, Reader, SliceReader, Tag, TagNumber, Tagged};

use crate::failure::Failure;
use crate::text::displayable;

/// Names that a sentence holds. A shared certificate of a large provider has a hundred.
const NAMES_MAX: usize = 6;

/// RFC 5280 section 4.2.1.6: dNSName and iPAddress.
const DNS_NAME: Tag = Tag::ContextSpecific { constructed: false, number: TagNumber(2) };
const IP_ADDRESS: Tag = Tag::ContextSpecific { constructed: false, number: TagNumber(7) };

/// RFC 5280 section 4.1: version and extensions.
const VERSION: Tag = Tag::ContextSpecific { constructed: true, number: TagNumber(0) };
const EXTENSIONS: Tag = Tag::ContextSpecific { constructed: true, number: TagNumber(3) };

/// RFC 5280 appendix A: id-ce-subjectAltName 2.5.29.17, commonName 2.5.4.3, organizationName 2.5.4.10.
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];

impl Failure {
    /// A certificate that the TLS library did not accept: `reason` is what it says, `certificate` is the DER of the
    /// server's own certificate. The sentence names its issuer, names and dates; where it cannot be read, the reason alone.
    ///
    /// ```
    /// use mailbearer::{Cause, Failure};
    /// let failure = Failure::of_certificate("certificate has expired", b"no certificate");
    /// assert_eq!(failure.cause, Cause::TlsFailed);
    /// assert!(failure.to_string().starts_with("TLS failed (certificate has expired)"));
    /// ```
    #[must_use]
    pub fn of_certificate(reason: &str, certificate: &[u8]) -> Self {
        let reason = reason.trim_end_matches('.');
        let words = Certificate::read(certificate)
            .map_or_else(|| reason.to_string(), |read| [reason, "; ", &read.words()].concat());
        Self::of_tls("certificate", &words)
    }
}

/// What a sentence tells of a certificate.
struct Certificate {
    issuer: String,
    names: Vec<String>,
    since: String,
    until: String,
}

impl Certificate {
    fn read(certificate: &[u8]) -> Option<Self> {
        let signed = elements(certificate).next()?;
        let fields: Vec<AnyRef<'_>> = elements(elements(signed.value()).next()?.value())
            .skip_while(|field| field.tag() == VERSION)
            .collect();
        let [_serial, _algorithm, issuer, validity, subject, _key, rest @ ..] = fields.as_slice()
        else {
            return None;
        };
        let mut dates = elements(validity.value()).map(date);
        let extensions = rest.iter().find(|field| field.tag() == EXTENSIONS);
        let mut names =
            extensions.map(|field| alternative_names(field.value())).unwrap_or_default();
        if names.is_empty() {
            names.extend(attribute(subject.value(), COMMON_NAME));
        }
        Some(Self {
            issuer: name(issuer.value()),
            names,
            since: dates.next()?,
            until: dates.next()?,
        })
    }

    fn words(&self) -> String {
        let mut words = String::from("the certificate is for ");
        let shown: Vec<&str> = self.names.iter().take(NAMES_MAX).map(String::as_str).collect();
        words.push_str(if shown.is_empty() { "no name" } else { "" });
        words.push_str(&shown.join(", "));
        let Self { issuer, since, until, .. } = self;
        // Writing to a String does not fail.
        if let more @ 1.. = self.names.len().saturating_sub(NAMES_MAX) {
            let _ = write!(words, " and {more} more");
        }
        let _ = write!(words, ", issued by {issuer}, valid from {since} to {until}");
        words
    }
}

/// The elements that stand one after the other, as far as they can be read.
fn elements(octets: &[u8]) -> impl Iterator<Item = AnyRef<'_>> {
    let mut reader = SliceReader::new(octets).ok();
    core::iter::from_fn(move || {
        let reader = reader.as_mut()?;
        let header = Header::decode(reader).ok()?;
        AnyRef::new(header.tag(), reader.read_slice(header.length()).ok()?).ok()
    })
}

/// The names of the extension subjectAltName.
fn alternative_names(extensions: &[u8]) -> Vec<String> {
    let Some(list) = elements(extensions).next() else { return Vec::new() };
    let extension = elements(list.value())
        .find(|one| elements(one.value()).next().is_some_and(|id| id.value() == SUBJECT_ALT_NAME));
    // The octets of the value hold a SEQUENCE; `critical` may stand before it.
    let value = extension.and_then(|one| elements(one.value()).last());
    let names = value.and_then(|octets| elements(octets.value()).next());
    names
        .map(|names| elements(names.value()).filter_map(alternative_name).collect())
        .unwrap_or_default()
}

fn alternative_name(name: AnyRef<'_>) -> Option<String> {
    let octets = name.value();
    if name.tag() == DNS_NAME {
        return Some(displayable(octets));
    }
    let four = <[u8; 4]>::try_from(octets).map(|address| Ipv4Addr::from(address).to_string());
    let sixteen = <[u8; 16]>::try_from(octets).map(|address| Ipv6Addr::from(address).to_string());
    if name.tag() == IP_ADDRESS { four.or(sixteen).ok() } else { None }
}

/// A name as people know it: the common name, and the organisation where that says more.
fn name(relative_names: &[u8]) -> String {
    let common = attribute(relative_names, COMMON_NAME);
    let organization = attribute(relative_names, ORGANIZATION);
    match (common, organization) {
        (Some(common), Some(organization)) if common != organization => {
            [&common, " (", &organization, ")"].concat()
        }
        (Some(name), _) | (None, Some(name)) => name,
        (None, None) => String::from("nobody that it names"),
    }
}

/// The first attribute of a kind in a distinguished name: a SEQUENCE of SETs of (kind, value).
fn attribute(relative_names: &[u8], kind: &[u8]) -> Option<String> {
    elements(relative_names).flat_map(|set| elements(set.value())).find_map(|pair| {
        let mut parts = elements(pair.value());
        let is_it = parts.next()?.value() == kind;
        parts.next().filter(|_| is_it).map(|value| text(&value))
    })
}

fn text(value: &AnyRef<'_>) -> String {
    if value.tag() != Tag::BmpString {
        return displayable(value.value());
    }
    let units: Vec<u16> = value
        .value()
        .chunks_exact(2)
        .filter_map(|two| two.try_into().ok().map(u16::from_be_bytes))
        .collect();
    displayable(String::from_utf16_lossy(&units).as_bytes())
}

/// The day of a UTCTime (two digits of the year, from 1950 on) or GeneralizedTime (four).
fn date(time: AnyRef<'_>) -> String {
    let digits = displayable(time.value());
    let is_short = time.tag() == Tag::UtcTime;
    let (year, rest) = digits.split_at_checked(if is_short { 2 } else { 4 }).unwrap_or_default();
    let (month, rest) = rest.split_at_checked(2).unwrap_or_default();
    let (day, _) = rest.split_at_checked(2).unwrap_or_default();
    let century = match (is_short, year < "50") {
        (true, true) => "20",
        (true, false) => "19",
        (false, _) => "",
    };
    [century, year, "-", month, "-", day].concat()
}

#[cfg(test)]
mod tests {
    use base64::Engine;

    use super::*;

    /// By OpenSSL: two dNSNames, two iPAddresses and a mail address in a critical extension; the common name is another.
    const SHIELDED: &str = "MIIB6zCCAZGgAwIBAgIBBzAKBggqhkjOPQQDAjBCMQswCQYDVQQGEwJYWDEXMBUGA1UECgwORXhhbXBsZSBTaGllbGQxGjAYBgNVBAMMEUV4YW1wbGUgU2hpZWxkIENBMB4XDTI2MTEyNzEzMjQyNFoXDTI2MTIyNzEzMjQyNFowGzEZMBcGA1UEAwwQb2xkLmV4YW1wbGUudGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABCEdpr9I4gZXEFBXPeJXLCXvn7oc/OmpnIgLjeD1XkY2btq+zDAQKKW5dNwvwfmbdfdX12dR55ltzC/nPm1+kSijgZ4wgZswWQYDVR0RAQH/BE8wTYIRbWFpbC5leGFtcGxlLnRlc3SCDiouZXhhbXBsZS50ZXN0hwTAAAIBhxAgAQ24AAAAAAAAAAAAAAABgRBqb2VAZXhhbXBsZS50ZXN0MB0GA1UdDgQWBBRn5E9UUU42ivSnJsHbkAJJ7zlY9TAfBgNVHSMEGDAWgBRP3BxHV0DGz2++EkhsS6XNIAeEszAKBggqhkjOPQQDAgNIADBFAiBS6JP2k3cLKZul8aninn5yAq5GYd51tQ0nxsxXXEYrnAIhAPGkfDxva+3NL805ALJbgXSbzIlBvajLBfQTxg93buQJ";
    /// By OpenSSL: no subjectAltName, its own issuer, and an end after 2049, which is a GeneralizedTime.
    const OF_ITSELF: &str = "MIIBjzCCATWgAwIBAgIUXK2/EMLeJBMl8HgpCqsqwEtcMo0wCgYIKoZIzj0EAwIwHDEaMBgGA1UEAwwRb25seS5leGFtcGxlLnRlc3QwIBcNMjYxMTI3MTMyNDI0WhgPMjA4MTA4MzAxMzI0MjRaMBwxGjAYBgNVBAMMEW9ubHkuZXhhbXBsZS50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEZ8QVozHEtIPbXOzBiNa+kSXUtMROv/qbAhvj8IZk70SsoEVg9wKGtTsu4P/BmUryTzV7eedkxgXGKYa3QxnUeqNTMFEwHQYDVR0OBBYEFO9jnO6pRuWIRwm1GtIKvZPPW1BoMB8GA1UdIwQYMBaAFO9jnO6pRuWIRwm1GtIKvZPPW1BoMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIhAKARj+4A/I0wYnUCHK323/Uxe0NftXOFuPzlCjCcgL4gAiByjZKeUTPV3We92TOXeWde4DNGHYP4TT/VYvW/tyPymA==";

    fn der(text: &str) -> Vec<u8> {
        base64::engine::general_purpose::STANDARD.decode(text).unwrap()
    }

    #[test]
    fn a_sentence_names_issuer_names_and_dates() {
        let failure = Failure::of_certificate("Hostname mismatch.", &der(SHIELDED));
        assert_eq!(
            failure.detail,
            "Hostname mismatch; the certificate is for mail.example.test, *.example.test, 192.0.2.1, 2001:db8::1, issued \
             by Example Shield CA (Example Shield), valid from 2026-11-27 to 2026-12-27"
        );
        let failure = Failure::of_certificate("self-signed certificate", &der(OF_ITSELF));
        assert_eq!(
            failure.detail,
            "self-signed certificate; the certificate is for only.example.test, issued by only.example.test, valid from \
             2026-11-27 to 2081-08-30"
        );
    }

    #[test]
    fn a_certificate_of_a_hundred_names_is_told_in_short() {
        let names = (0..100).map(|one| [&one.to_string(), ".example"].concat()).collect();
        let text = || String::from("x");
        let words = Certificate { issuer: text(), names, since: text(), until: text() }.words();
        assert!(words.contains("5.example and 94 more, issued"), "{words}");
    }

    #[test]
    fn a_name_that_would_be_obeyed_by_a_terminal_is_made_harmless() {
        let mut octets = der(SHIELDED);
        let at = octets.windows(11).position(|one| one == b"Example Shi").unwrap();
        octets[at] = 0x1b;
        assert!(Failure::of_certificate("", &octets).detail.contains("( xample Shield)"));
    }

    #[test]
    fn what_is_cut_or_broken_at_any_octet_is_read_without_a_panic() {
        for octets in [der(SHIELDED), der(OF_ITSELF)] {
            for end in 0..octets.len() {
                let cut = Failure::of_certificate("why", &octets[..end]);
                assert!(cut.detail.starts_with("why"));
                for flip in [0x00, 0x80, 0xff, octets[end] ^ 0x20] {
                    let mut broken = octets.clone();
                    broken[end] = flip;
                    assert!(Failure::of_certificate("why", &broken).detail.starts_with("why"));
                }
            }
            assert_eq!(Failure::of_certificate("why", &octets[..40]).detail, "why");
        }
    }
}
