import NIOCore

/// What a header block of a tar archive says: ustar, GNU and pax.
struct TarEntry: Sendable, Hashable {
    enum Kind: Sendable, Hashable {
        case file
        /// Directories, links and devices: no content, whatever their size says.
        case bare
        /// GNU's long name of the next entry.
        case longName
        /// GNU's long link target of the next entry.
        case longLink
        /// pax records for the next entry.
        case records
        /// pax records for all that follows: engines do not heed them.
        case globalRecords
    }

    static let blockSize = 512

    var name: String
    var size: Int64
    var kind: Kind
    /// Whether it makes a folder.
    var isFolder: Bool

    /// Bytes that fill the content's last block.
    var padding: Int { Int(-size & Int64(Self.blockSize - 1)) }

    /// Reads a block that is not all zeros.
    init(_ block: ByteBufferView) throws(ImageError) {
        let bytes = Array(block)
        guard bytes.count == Self.blockSize else { throw .malformed("a header of \(bytes.count) bytes") }
        try Self.check(bytes)
        let isUstar = bytes[257..<263].elementsEqual("ustar\0".utf8)
        let prefix = isUstar ? Self.text(bytes[345..<500]) : ""
        let name = Self.text(bytes[0..<100])
        self.name = prefix.isEmpty ? name : "\(prefix)/\(name)"
        guard let size = Self.number(bytes[124..<136]), size >= 0, size <= .max - Int64(Self.blockSize) else {
            throw .malformed("the size of '\(self.name)' is no number")
        }
        isFolder = bytes[156] == UInt8(ascii: "5")
        switch bytes[156] {
        case UInt8(ascii: "1")...UInt8(ascii: "6"): kind = .bare
        case UInt8(ascii: "L"): kind = .longName
        case UInt8(ascii: "K"): kind = .longLink
        case UInt8(ascii: "x"): kind = .records
        case UInt8(ascii: "g"): kind = .globalRecords
        case UInt8(ascii: "S"): throw .malformed("'\(self.name)' is a sparse file, which no engine writes")
        default: kind = .file
        }
        self.size = kind == .bare ? 0 : size
    }

    /// The checksum is over the block with spaces in its own place; old programs added up signed bytes.
    private static func check(_ bytes: [UInt8]) throws(ImageError) {
        var unsigned: Int64 = 0
        var signed: Int64 = 0
        for (index, byte) in bytes.enumerated() {
            let byte = (148..<156).contains(index) ? 0x20 : byte
            unsigned += Int64(byte)
            signed += Int64(Int8(bitPattern: byte))
        }
        let said = number(bytes[148..<156])
        guard said == unsigned || said == signed else { throw .malformed("a header's checksum is wrong") }
    }

    static func text(_ field: some Collection<UInt8>) -> String {
        String(decoding: field.prefix { $0 != 0 }, as: UTF8.self)
    }

    /// Octal digits between blanks, or two's complement behind a set first bit; nil for anything else.
    private static func number(_ field: ArraySlice<UInt8>) -> Int64? {
        guard let first = field.first else { return nil }
        if first & 0x80 != 0 {
            // Nothing that is over 63 bits is a size; all bytes before the last eight only repeat the sign.
            guard first == 0x80, field.dropFirst().dropLast(8).allSatisfy({ $0 == 0 }) else { return nil }
            return Int64(exactly: field.suffix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
        }
        let isBlank = { (byte: UInt8) in byte == 0x20 || byte == 0 }
        let digits = field.drop(while: isBlank)
        let end = digits.firstIndex(where: isBlank) ?? digits.endIndex
        guard digits[end...].allSatisfy(isBlank), digits[..<end].allSatisfy({ (0x30...0x37).contains($0) }) else {
            return nil
        }
        return digits[..<end].reduce(Int64(0)) { $0 << 3 | Int64($1 & 7) }
    }

    /// Applies pax records, `LENGTH KEY=VALUE\n` one after the other.
    mutating func apply(records: some Collection<UInt8>) throws(ImageError) {
        var rest = Array(records)[...]
        while !rest.isEmpty {
            let digits = rest.prefix { (0x30...0x39).contains($0) }
            guard (1...9).contains(digits.count), let length = Int(String(decoding: digits, as: UTF8.self)),
                length > digits.count + 1, length <= rest.count, rest[rest.startIndex + length - 1] == 0x0a,
                rest[digits.endIndex] == 0x20
            else { throw .malformed("a pax record has another length than it says") }
            let record = rest[(digits.endIndex + 1)..<(rest.startIndex + length - 1)]
            rest = rest.dropFirst(length)
            guard let equals = record.firstIndex(of: UInt8(ascii: "=")) else {
                throw .malformed("a pax record without a value")
            }
            let value = String(decoding: record[(equals + 1)...], as: UTF8.self)
            let key = String(decoding: record[..<equals], as: UTF8.self)
            if key == "path", !value.isEmpty { name = value }
            if key == "size", kind != .bare {
                guard let number = Int64(value), number >= 0, number <= .max - Int64(Self.blockSize) else {
                    throw .malformed("the pax size of '\(name)' is no number")
                }
                size = number
            }
            if key.hasPrefix("GNU.sparse.") { throw .malformed("'\(name)' is a sparse file, which no engine writes") }
        }
    }
}
