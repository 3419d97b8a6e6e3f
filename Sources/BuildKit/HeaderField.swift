/// One field of an HTTP/2 head; names are in lower case.
package struct HeaderField: Sendable, Hashable {
    package var name: String
    package var value: String

    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

extension [HeaderField] {
    /// The first value of a name.
    package func first(_ name: String) -> String? { first { $0.name == name }?.value }

    package func all(_ name: String) -> [String] { filter { $0.name == name }.map(\.value) }
}
