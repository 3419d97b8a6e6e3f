import LighterTesting
import DockerAPI
import Testing

@Suite("JSON")
struct JSONTests {
    private func parse(_ text: String, rejectDuplicates: Bool = false) throws(JSONError) -> JSON {
        try JSON.parse(Array(text.utf8), rejectDuplicates: rejectDuplicates)
    }

    @Test(
        "Documents come out as they went in",
        arguments: [
            #"{"b":1,"a":[true,false,null,"x"],"n":-1.50e+10,"big":123456789012345678901234567890}"#, "[]", "{}", "0",
            "\"\"", #""\"\\\n\r\t\u0001é😀""#,
        ])
    func roundTrip(_ text: String) throws {
        #expect(try parse(text).text == text)
    }

    @Test(
        "Escapes are decoded as Go decodes them",
        arguments: [
            (#""\u00e9\ud83d\ude00\/\b\f""#, "é😀/\u{8}\u{c}"), (#""\ud83dx""#, "\u{fffd}x"),
            (#""\ude00""#, "\u{fffd}"), (#""\ud83d\u0041""#, "\u{fffd}A"), (#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
            (#""\u0000""#, "\0"),
        ])
    func escapes(_ text: String, _ expected: String) throws {
        #expect(try parse(text) == .string(expected))
    }

    @Test(
        "What is not JSON is refused with the place",
        arguments: [
            ("", 0), ("{", 1), ("[1,]", 3), ("{\"a\" 1}", 5), ("01", 1), ("-", 1), ("1.", 2), ("1e", 2), ("+1", 0),
            ("nul", 0), ("'a'", 0), ("\"a", 2), ("\"\u{1}\"", 1), (#""\x""#, 3), (#""\u12g4""#, 5), ("1 2", 2),
            ("{\"a\":1,}", 7), ("[1 2]", 3), ("NaN", 0), (#"{a:1}"#, 1), ("\u{feff}1", 0),
        ])
    func refused(_ text: String, _ offset: Int) {
        #expect(#expect(throws: JSONError.self) { try parse(text) }?.offset == offset)
    }

    @Test(
        "Strings that are not UTF-8 are refused",
        arguments: [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82]] as [[UInt8]])
    func notUTF8(_ bytes: [UInt8]) {
        #expect(throws: JSONError.self) { try JSON.parse([0x22] + bytes + [0x22]) }
    }

    @Test("Nesting ends at the limit and not at the end of the stack")
    func depth() throws {
        let deep = { String(repeating: "[", count: $0) + String(repeating: "]", count: $0) }
        _ = try parse(deep(128))
        #expect(throws: JSONError.self) { try parse(deep(129)) }
        #expect(throws: JSONError.self) { try parse(String(repeating: "[", count: 1_000_000)) }
    }

    @Test("Names are found as Go finds them: no case, the last one wins, long s and Kelvin too")
    func lookup() throws {
        let json = try parse(#"{"image":"a","IMAGE":"b","ho\#u{17f}tconfig":1,"\#u{212a}ey":2}"#)
        #expect(json.value(named: "Image") == "b")
        #expect(json["image"] == "a")
        #expect(json.value(named: "HostConfig") == 1)
        #expect(json.value(named: "key") == 2)
        #expect(json.value(named: "none") == nil)
    }

    @Test(
        "Members that Go takes for one field are found out",
        arguments: [
            #"{"a":1,"a":2}"#, #"{"Image":1,"image":2}"#, #"{"x":{"s":1,"\u017f":2}}"#, #"[{"k":1,"\u212a":1}]"#,
        ])
    func duplicates(_ text: String) throws {
        _ = try parse(text)
        #expect(throws: JSONError.self) { try parse(text, rejectDuplicates: true) }
    }

    @Test("Setting replaces every spelling and keeps the place")
    func editing() throws {
        var json = try parse(#"{"a":1,"Labels":{"x":"y"},"labels":null,"b":2}"#)
        json.set(["z": "w"], named: "Labels")
        #expect(json.text == #"{"a":1,"Labels":{"z":"w"},"b":2}"#)
        json.update(named: "hostconfig") { $0.set(5, named: "Memory") }
        json.update(named: "HostConfig") { $0.set(6, named: "memory") }
        #expect(json.text == #"{"a":1,"Labels":{"z":"w"},"b":2,"HostConfig":{"memory":6}}"#)
        json.remove(named: "A")
        json["b"] = nil
        #expect(json.text == #"{"Labels":{"z":"w"},"HostConfig":{"memory":6}}"#)
    }

    @Test("Mutated documents never trap, and what parses is stable", arguments: 0..<16)
    func fuzz(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let text =
            #"{"Image":"a","Cmd":["x","\u00e9\ud83d\ude00"],"HostConfig":{"Memory":-1.5e3,"Binds":null,"T":[true]}}"#
        for _ in 0..<500 {
            let bytes = Array(text.utf8).mutated(&random)
            guard let json = try? JSON.parse(bytes) else { continue }
            #expect(try JSON.parse(json.bytes) == json)
        }
    }
}
