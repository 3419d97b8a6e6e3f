/// Fields that every HPACK table begins with (RFC 7541, appendix A).
enum HPACKStaticTable {
    static let entries: [HeaderField] =
        [
            HeaderField(":authority", ""), HeaderField(":method", "GET"), HeaderField(":method", "POST"),
            HeaderField(":path", "/"), HeaderField(":path", "/index.html"), HeaderField(":scheme", "http"),
            HeaderField(":scheme", "https"), HeaderField(":status", "200"), HeaderField(":status", "204"),
            HeaderField(":status", "206"), HeaderField(":status", "304"), HeaderField(":status", "400"),
            HeaderField(":status", "404"), HeaderField(":status", "500"), HeaderField("accept-charset", ""),
            HeaderField("accept-encoding", "gzip, deflate"),
        ]
        + [
            "accept-language", "accept-ranges", "accept", "access-control-allow-origin", "age", "allow",
            "authorization",
            "cache-control", "content-disposition", "content-encoding", "content-language", "content-length",
            "content-location", "content-range", "content-type", "cookie", "date", "etag", "expect", "expires", "from",
            "host", "if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since",
            "last-modified", "link", "location", "max-forwards", "proxy-authenticate", "proxy-authorization", "range",
            "referer", "refresh", "retry-after", "server", "set-cookie", "strict-transport-security",
            "transfer-encoding", "user-agent", "vary", "via", "www-authenticate",
        ].map { HeaderField($0, "") }
}
