package import NIOCore

/// A JSON value that keeps what it was made from: order of members, text of numbers.
package enum JSON: Sendable, Hashable {
    case null
    case bool(Bool)
    /// The number's own text.
    case number(String)
    case string(String)
    case array([JSON])
    case object(JSONObject)

    /// - Parameters:
    ///   - maximumDepth: How deep arrays and objects may nest.
    ///   - rejectDuplicates: Refuses objects with two members whose names Go's decoder takes for the same.
    /// - Throws: `JSONError` with the offset of the first byte that cannot stand there.
    package static func parse(
        _ bytes: [UInt8], maximumDepth: Int = 128, rejectDuplicates: Bool = false
    ) throws(JSONError) -> JSON {
        var parser = JSONParser(bytes, maximumDepth: maximumDepth, rejectDuplicates: rejectDuplicates)
        return try parser.document()
    }

    /// Parses all readable bytes of `buffer`.
    package static func parse(
        _ buffer: ByteBuffer, maximumDepth: Int = 128, rejectDuplicates: Bool = false
    ) throws(JSONError) -> JSON {
        try parse(Array(buffer.readableBytesView), maximumDepth: maximumDepth, rejectDuplicates: rejectDuplicates)
    }
}

/// Where and why bytes are not JSON.
package struct JSONError: Error, Hashable, CustomStringConvertible {
    /// From the start of the document, in bytes.
    package var offset: Int
    package var message: String

    package init(offset: Int, message: String) {
        self.offset = offset
        self.message = message
    }

    package var description: String { "invalid JSON at byte \(offset): \(message)" }
}

extension JSON {
    package var isNull: Bool { if case .null = self { true } else { false } }
    package var boolValue: Bool? { if case .bool(let value) = self { value } else { nil } }
    package var stringValue: String? { if case .string(let value) = self { value } else { nil } }
    package var arrayValue: [JSON]? { if case .array(let value) = self { value } else { nil } }
    package var objectValue: JSONObject? { if case .object(let value) = self { value } else { nil } }
    /// A number written as a whole number that fits; `1.0` and `1e3` are none, as in Go.
    package var intValue: Int64? { if case .number(let text) = self { Int64(text) } else { nil } }
    package var doubleValue: Double? { if case .number(let text) = self { Double(text) } else { nil } }

    package static func int(_ value: some BinaryInteger) -> JSON { .number(String(value)) }

    /// The member with exactly this name; setting nil removes it. Setting on what is no object makes it one.
    package subscript(_ key: String) -> JSON? {
        get { objectValue?[key] }
        set {
            var object = objectValue ?? JSONObject()
            object[key] = newValue
            self = .object(object)
        }
    }

    /// The element, nil out of range.
    package subscript(_ index: Int) -> JSON? {
        guard case .array(let items) = self, items.indices.contains(index) else { return nil }
        return items[index]
    }

    /// The member that Go's decoder would take for the field `name`: case does not count, the last one wins.
    package func value(named name: String) -> JSON? { objectValue?.value(named: name) }

    /// Replaces every member that Go would take for `name`.
    package mutating func set(_ value: JSON, named name: String) {
        var object = objectValue ?? JSONObject()
        object.set(value, named: name)
        self = .object(object)
    }

    /// Removes every member that Go would take for `name`.
    package mutating func remove(named name: String) {
        guard case .object(var object) = self else { return }
        object.remove(named: name)
        self = .object(object)
    }

    /// Edits the member that Go would take for `name` in place, as an empty object when there is none or it is null.
    package mutating func update(named name: String, _ body: (inout JSON) -> Void) {
        var member = value(named: name) ?? .null
        if member.isNull { member = .object(JSONObject()) }
        body(&member)
        set(member, named: name)
    }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    package init(stringLiteral value: String) { self = .string(value) }
    package init(booleanLiteral value: Bool) { self = .bool(value) }
    package init(integerLiteral value: Int) { self = .number(String(value)) }
    package init(arrayLiteral elements: JSON...) { self = .array(elements) }
    package init(nilLiteral: ()) { self = .null }
    package init(dictionaryLiteral elements: (String, JSON)...) {
        self = .object(JSONObject(elements.map { JSONObject.Member(key: $0, value: $1) }))
    }
}
