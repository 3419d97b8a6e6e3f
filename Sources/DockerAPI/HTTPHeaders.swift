/// The fields of a head in the order in which they came; names compare without case.
package struct HTTPHeaders: Sendable, Hashable {
    package struct Field: Sendable, Hashable {
        package var name: String
        /// Without the white space round it; bytes that are not UTF-8 are shown as U+FFFD (the head's `raw` has them).
        package var value: String

        package init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    package private(set) var fields: [Field]

    package init(_ fields: [(String, String)] = []) {
        self.fields = fields.map { Field(name: $0.0, value: $0.1) }
    }

    package mutating func append(_ name: String, _ value: String) {
        fields.append(Field(name: name, value: value))
    }

    package func first(_ name: String) -> String? {
        fields.first { ASCII.equalIgnoringCase($0.name, name) }?.value
    }

    package func all(_ name: String) -> [String] {
        fields.filter { ASCII.equalIgnoringCase($0.name, name) }.map(\.value)
    }

    package func contains(_ name: String) -> Bool {
        fields.contains { ASCII.equalIgnoringCase($0.name, name) }
    }

    /// Whether one of the comma-separated words of the fields called `name` is `token`, without regard to case.
    package func contains(_ name: String, token: String) -> Bool {
        fields.contains { field in
            ASCII.equalIgnoringCase(field.name, name)
                && field.value.utf8.split(separator: UInt8(ascii: ",")).contains {
                    ASCII.equalIgnoringCase(ASCII.trimming($0), token.utf8)
                }
        }
    }
}
