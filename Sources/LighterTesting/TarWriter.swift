/// Writes tar archives for tests, as Go's and Python's writers do.
package struct TarWriter {
    package private(set) var bytes: [UInt8] = []

    package init() {}

    package mutating func file(_ name: String, _ content: [UInt8], kind: Character = "0", link: String = "") {
        header(name, kind: kind, size: octal(content.count, 11), link: link)
        pad(content)
    }

    package mutating func folder(_ name: String) { header(name, kind: "5", size: octal(0, 11)) }

    package mutating func link(_ name: String, to target: String) {
        header(name, kind: "2", size: octal(0, 11), link: target)
    }

    /// A name of any length, as GNU tar writes it.
    package mutating func gnu(_ name: String, _ content: [UInt8]) {
        file("././@LongLink", Array(name.utf8) + [0], kind: "L")
        file(String(name.prefix(100)), content)
    }

    /// Name and size in pax records; the header has neither.
    package mutating func pax(_ name: String, _ content: [UInt8]) {
        file("PaxHeaders/x", Self.record("path", name) + Self.record("size", "\(content.count)"), kind: "x")
        header("cut short", kind: "0", size: octal(0, 11))
        pad(content)
    }

    /// A size in base 256.
    package mutating func binary(_ name: String, _ content: [UInt8]) {
        let size = [0x80, 0, 0, 0] + (0..<8).map { UInt8(truncatingIfNeeded: content.count >> (56 - 8 * $0)) }
        header(name, kind: "0", size: size)
        pad(content)
    }

    package mutating func end() { bytes += [UInt8](repeating: 0, count: 1024) }

    private static func record(_ key: String, _ value: String) -> [UInt8] {
        let rest = " \(key)=\(value)\n"
        var length = rest.utf8.count + 1
        while "\(length)".utf8.count + rest.utf8.count != length { length += 1 }
        return Array("\(length)\(rest)".utf8)
    }

    private func octal(_ number: Int, _ digits: Int) -> [UInt8] {
        let text = String(number, radix: 8)
        return Array((String(repeating: "0", count: digits - text.utf8.count) + text).utf8) + [0]
    }

    private mutating func pad(_ content: [UInt8]) {
        bytes += content + [UInt8](repeating: 0, count: (512 - content.count % 512) % 512)
    }

    private mutating func header(_ name: String, kind: Character, size: [UInt8], link: String = "") {
        var block = [UInt8](repeating: 0, count: 512)
        func put(_ text: some Collection<UInt8>, at offset: Int) {
            block.replaceSubrange(offset..<(offset + text.count), with: text)
        }
        put(name.utf8.prefix(100), at: 0)
        put(octal(0o644, 7), at: 100)
        put(octal(0, 7), at: 108)
        put(octal(0, 7), at: 116)
        put(size, at: 124)
        put(octal(0, 11), at: 136)
        put([UInt8](repeating: 0x20, count: 8), at: 148)
        block[156] = kind.asciiValue ?? 0
        put(link.utf8.prefix(100), at: 157)
        put("ustar\u{0}00".utf8, at: 257)
        put(octal(block.reduce(0) { $0 + Int($1) }, 6) + [0x20], at: 148)
        bytes += block
    }
}
