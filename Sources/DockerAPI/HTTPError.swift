/// Why bytes are not a HTTP/1 message that may be passed on.
package struct HTTPError: Error, Hashable, CustomStringConvertible {
    /// The status to answer with: 400, 417, 431 or 505 for a request; 502 for a response.
    package var status: Int
    /// One sentence for the person who sent it.
    package var message: String

    package init(status: Int, message: String) {
        self.status = status
        self.message = message
    }

    package var description: String { "\(status): \(message)" }

    static func bad(_ message: String) -> HTTPError { HTTPError(status: 400, message: message) }
}
