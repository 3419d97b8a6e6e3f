/// Why an HTTP/2 connection cannot go on.
package struct HTTP2Error: Error, Hashable, CustomStringConvertible {
    /// RFC 9113, section 7.
    package enum Code: UInt32, Sendable {
        case protocolError = 1
        case internalError = 2
        case flowControl = 3
        case streamClosed = 5
        case frameSize = 6
        case refusedStream = 7
        case cancel = 8
        case compression = 9
        case calm = 11
    }

    package var code: Code
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}
