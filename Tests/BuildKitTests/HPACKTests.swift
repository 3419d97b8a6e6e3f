import NIOCore
import Testing

@testable import BuildKit

@Suite("Heads as HPACK packs them")
struct HPACKTests {
    private static func bytes(_ hex: String) -> ByteBuffer {
        var buffer = ByteBuffer()
        var digits = hex.filter { $0 != " " }[...]
        while digits.count >= 2 {
            buffer.writeInteger(UInt8(digits.prefix(2), radix: 16) ?? 0)
            digits = digits.dropFirst(2)
        }
        return buffer
    }

    /// RFC 7541, appendix C.4: requests on one connection, with the table and the Huffman code.
    @Test("are read as the RFC's examples say")
    func examples() throws {
        var decoder = HPACKDecoder()
        let common = [
            HeaderField(":method", "GET"), HeaderField(":scheme", "http"), HeaderField(":path", "/"),
            HeaderField(":authority", "www.example.com"),
        ]
        #expect(try decoder.decode(Self.bytes("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff")) == common)
        #expect(
            try decoder.decode(Self.bytes("8286 84be 5886 a8eb 1064 9cbf")) == common + [
                HeaderField("cache-control", "no-cache")
            ])
        #expect(
            try decoder.decode(Self.bytes("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf")) == [
                HeaderField(":method", "GET"), HeaderField(":scheme", "https"), HeaderField(":path", "/index.html"),
                HeaderField(":authority", "www.example.com"), HeaderField("custom-key", "custom-value"),
            ])
    }

    /// The same, C.6: a table of 256 bytes that must let go of fields.
    @Test("forget the oldest fields when the table is full")
    func eviction() throws {
        var decoder = HPACKDecoder()
        _ = try decoder.decode(Self.bytes("3fe101"))
        let first = try decoder.decode(
            Self.bytes(
                "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3"
            ))
        #expect(first.first(":status") == "302" && first.first("location") == "https://www.example.com")
        let second = try decoder.decode(Self.bytes("4883 640e ffc1 c0bf"))
        #expect(second.first(":status") == "307" && second.first("location") == "https://www.example.com")
        let third = try decoder.decode(
            Self.bytes(
                "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07"
            ))
        #expect(
            third.first("content-encoding") == "gzip" && third.first("set-cookie")?.hasPrefix("foo=ASDJKHQK") == true)
    }

    @Test("come back as they were written", arguments: [0, 1, 126, 127, 128, 254, 255, 20_000])
    func encoded(length: Int) throws {
        let fields = [HeaderField(":path", "/a"), HeaderField("x", String(repeating: "é", count: length))]
        var decoder = HPACKDecoder()
        #expect(try decoder.decode(HPACKEncoder.encode(fields)) == fields)
    }

    @Test(
        "are refused when they are broken",
        arguments: [
            "80", "be", "ff", "ffffffffff7f", "00", "0001", "000161", "00016103", "000181ff02ffff", "82 20", "3fe21f",
            "0001 61 01 ff", "00 83 ffffff 00",
        ])
    func broken(hex: String) {
        var decoder = HPACKDecoder()
        #expect(throws: HTTP2Error.self) { try decoder.decode(Self.bytes(hex)) }
    }

    @Test("are bounded, however small they are packed")
    func bomb() throws {
        var decoder = HPACKDecoder()
        var block = ByteBuffer(bytes: [0x40, 1, 0x61, 0x7f, 0x81, 0x1e])
        block.writeRepeatingByte(0x62, count: 3968)
        _ = try decoder.decode(block)
        #expect(throws: HTTP2Error.self) { try decoder.decode(ByteBuffer(repeating: 0xbe, count: 20)) }
    }
}
