//! Domains in which a provider gives mail addresses to everybody. Those that a partner runs for itself (yahoo.co.jp) are not
//! here, and no domain of one customer is. A list is one text: a slice would be a pointer, and a relocation, for each.

pub(super) const MICROSOFT: &str = "\
    outlook.com hotmail.com live.com msn.com passport.com windowslive.com outlook.at outlook.be outlook.cl \
    outlook.co.id outlook.co.il outlook.co.th outlook.com.ar outlook.com.au outlook.com.br outlook.com.gr \
    outlook.com.tr outlook.com.vn outlook.cz outlook.de outlook.dk outlook.es outlook.fr outlook.hu outlook.ie \
    outlook.in outlook.it outlook.jp outlook.kr outlook.lv outlook.my outlook.ph outlook.pt outlook.sa outlook.sg \
    outlook.sk hotmail.be hotmail.ca hotmail.co.jp hotmail.co.nz hotmail.co.th hotmail.co.uk hotmail.com.ar \
    hotmail.com.au hotmail.com.br hotmail.com.tr hotmail.de hotmail.es hotmail.fr hotmail.gr hotmail.it hotmail.nl \
    hotmail.no hotmail.se live.at live.be live.ca live.cl live.cn live.co.uk live.co.za live.com.ar live.com.au \
    live.com.mx live.com.pt live.de live.dk live.fi live.fr live.hk live.ie live.in live.it live.jp live.nl \
    live.no live.se";

pub(super) const YAHOO: &str = "\
    yahoo.com ymail.com rocketmail.com myyahoo.com yahoo.at yahoo.be yahoo.ca yahoo.co.id yahoo.co.in yahoo.co.kr \
    yahoo.co.nz yahoo.co.th yahoo.co.uk yahoo.co.za yahoo.com.ar yahoo.com.au yahoo.com.br yahoo.com.co \
    yahoo.com.hk yahoo.com.mx yahoo.com.my yahoo.com.pe yahoo.com.ph yahoo.com.sg yahoo.com.tr yahoo.com.tw \
    yahoo.com.ve yahoo.com.vn yahoo.cz yahoo.de yahoo.dk yahoo.es yahoo.fi yahoo.fr yahoo.gr yahoo.hu yahoo.ie \
    yahoo.in yahoo.it yahoo.nl yahoo.no yahoo.pl yahoo.pt yahoo.ro yahoo.se";

pub(super) const AOL: &str = "aol.com aim.com aol.co.uk aol.de aol.fr verizon.net";

pub(super) const FASTMAIL: &str = "\
    fastmail.com fastmail.fm fastmail.net fastmail.org fastmail.us fastmail.co.uk fastmail.de fastmail.es \
    fastmail.in fastmail.jp fastmail.to";

pub(super) const YANDEX: &str =
    "yandex.com yandex.ru ya.ru yandex.by yandex.kz yandex.com.tr narod.ru";

pub(super) const MAILRU: &str = "mail.ru internet.ru inbox.ru list.ru bk.ru";
