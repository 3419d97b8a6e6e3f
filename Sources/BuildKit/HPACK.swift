package import NIOCore

/// Reads HPACK's blocks of one direction of a connection (RFC 7541).
package struct HPACKDecoder: Sendable {
    /// Of the table, in HPACK's bytes: what every peer may use unless it is told otherwise.
    private static let tableLimit = 4096
    /// Of a whole head, in HPACK's bytes.
    private static let headLimit = 64 << 10

    /// The newest first.
    private var table: [HeaderField] = []
    private var size = 0
    private var limit = tableLimit

    package init() {}

    /// - Throws: `.compression` for what is no block; the table is of no use then.
    package mutating func decode(_ block: ByteBuffer) throws(HTTP2Error) -> [HeaderField] {
        var block = block
        var fields: [HeaderField] = []
        var length = 0
        while let first = block.getInteger(at: block.readerIndex, as: UInt8.self) {
            if first & 0xe0 == 0x20 {
                guard fields.isEmpty else { throw Self.broken("a table's size in the middle") }
                try resize(try Self.integer(&block, prefix: 5))
                continue
            }
            let field = try field(&block, first)
            length += Self.size(of: field)
            guard length <= Self.headLimit else { throw HTTP2Error(.calm, "a head of over \(Self.headLimit) bytes") }
            fields.append(field)
        }
        return fields
    }

    private mutating func field(_ block: inout ByteBuffer, _ first: UInt8) throws(HTTP2Error) -> HeaderField {
        if first & 0x80 != 0 { return try entry(try Self.integer(&block, prefix: 7)) }
        let isKept = first & 0xc0 == 0x40
        let index = try Self.integer(&block, prefix: isKept ? 6 : 4)
        let name = index == 0 ? try Self.text(&block) : try entry(index).name
        let field = HeaderField(name, try Self.text(&block))
        if isKept { keep(field) }
        return field
    }

    private func entry(_ index: Int) throws(HTTP2Error) -> HeaderField {
        let known = HPACKStaticTable.entries
        if (1...known.count).contains(index) { return known[index - 1] }
        let later = index - known.count - 1
        guard table.indices.contains(later) else { throw Self.broken("field \(index) of a table without it") }
        return table[later]
    }

    private mutating func keep(_ field: HeaderField) {
        table.insert(field, at: 0)
        size += Self.size(of: field)
        evict()
    }

    private mutating func resize(_ limit: Int) throws(HTTP2Error) {
        guard limit <= Self.tableLimit else { throw Self.broken("a table of \(limit) bytes") }
        self.limit = limit
        evict()
    }

    private mutating func evict() {
        while size > limit, let oldest = table.popLast() { size -= Self.size(of: oldest) }
    }

    private static func size(of field: HeaderField) -> Int { field.name.utf8.count + field.value.utf8.count + 32 }

    private static func integer(_ block: inout ByteBuffer, prefix: Int) throws(HTTP2Error) -> Int {
        let mask = (1 << prefix) - 1
        guard let first = block.readInteger(as: UInt8.self) else { throw broken("a number that ends") }
        var value = Int(first) & mask
        guard value == mask else { return value }
        for shift in stride(from: 0, through: 21, by: 7) {
            guard let byte = block.readInteger(as: UInt8.self) else { throw broken("a number that ends") }
            value += Int(byte & 0x7f) << shift
            if byte & 0x80 == 0 { return value }
        }
        throw broken("a number that does not end")
    }

    private static func text(_ block: inout ByteBuffer) throws(HTTP2Error) -> String {
        guard let first = block.getInteger(at: block.readerIndex, as: UInt8.self) else { throw broken("no text") }
        let length = try integer(&block, prefix: 7)
        guard let bytes = block.readSlice(length: length) else { throw broken("a text that ends") }
        let plain =
            first & 0x80 == 0
            ? Array(bytes.readableBytesView) : HuffmanCode.shared.decode(bytes.readableBytesView)
        guard let plain, let text = String(validating: plain, as: UTF8.self) else {
            throw broken("a text that is none")
        }
        return text
    }

    private static func broken(_ what: String) -> HTTP2Error { HTTP2Error(.compression, "a head with \(what)") }
}

/// Writes heads so that no table is needed: each field whole, as it is.
package enum HPACKEncoder {
    package static func encode(_ fields: [HeaderField]) -> ByteBuffer {
        // Whatever table the peer has offered: it is empty.
        var block = ByteBuffer(bytes: [0x20])
        for field in fields {
            block.writeInteger(UInt8(0))
            write(field.name, &block)
            write(field.value, &block)
        }
        return block
    }

    private static func write(_ text: String, _ block: inout ByteBuffer) {
        var length = text.utf8.count
        if length < 127 {
            block.writeInteger(UInt8(length))
        } else {
            block.writeInteger(UInt8(127))
            length -= 127
            while length >= 128 {
                block.writeInteger(UInt8(length & 0x7f | 0x80))
                length >>= 7
            }
            block.writeInteger(UInt8(length))
        }
        block.writeString(text)
    }
}
