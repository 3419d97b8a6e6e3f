package import NIOCore

/// A refusal as the Docker API spells it: a status and a message for a person. The one place where errors become responses.
package struct DockerFailure: Error, Hashable, CustomStringConvertible {
    package var status: Int
    package var message: String

    package init(status: Int, message: String) {
        self.status = status
        self.message = message
    }

    package init(_ error: HTTPError) { self.init(status: error.status, message: error.message) }

    package var description: String { "\(status): \(message)" }

    package static func noSuchContainer(_ ref: String) -> DockerFailure {
        DockerFailure(status: 404, message: "No such container: \(ref)")
    }

    package static func noSuchImage(_ ref: String) -> DockerFailure {
        DockerFailure(status: 404, message: "No such image: \(ref)")
    }

    /// `{"message": …}` and a line feed, as dockerd sends it.
    package var body: ByteBuffer {
        var body = JSON.object(JSONObject([.init(key: "message", value: .string(message))])).buffer
        body.writeString("\n")
        return body
    }

    /// The whole response.
    ///
    /// - Parameters:
    ///   - version: The API version that the Api-Version header tells; nil leaves the header out.
    ///   - closing: Adds `Connection: close`; for refusals after which the request's end is not known.
    ///   - method: Of the request; the answer to HEAD has no body.
    package func response(version: String?, closing: Bool = false, method: String = "GET") -> ByteBuffer {
        DockerResponseBytes.make(
            status: status, contentType: "application/json", body: body, version: version, closing: closing,
            method: method)
    }
}

/// Whole responses that are answered on the device, with the headers that dockerd puts on its own.
package enum DockerResponseBytes {
    package static func json(
        _ json: JSON, status: Int = 200, version: String?, closing: Bool = false, method: String = "GET",
        extra: [(String, String)] = []
    ) -> ByteBuffer {
        var body = json.buffer
        body.writeString("\n")
        return make(
            status: status, contentType: "application/json", body: body, version: version, closing: closing,
            method: method, extra: extra)
    }

    /// - Parameter contentType: nil for an answer without content (204).
    package static func make(
        status: Int, contentType: String?, body: ByteBuffer, version: String?, closing: Bool = false,
        method: String = "GET", extra: [(String, String)] = []
    ) -> ByteBuffer {
        var out = head(status: status, version: version, extra: extra)
        if let contentType { out.writeString("Content-Type: \(contentType)\r\n") }
        if closing { out.writeString("Connection: close\r\n") }
        if status != 204, status != 304 { out.writeString("Content-Length: \(body.readableBytes)\r\n") }
        out.writeString("\r\n")
        if method != "HEAD", status != 204, status != 304 { out.writeImmutableBuffer(body) }
        return out
    }

    /// The head of a chunked response, whole; the body follows with `ChunkedEncoding`.
    package static func chunkedHead(
        status: Int = 200, contentType: String, version: String?, extra: [(String, String)] = []
    ) -> ByteBuffer {
        var out = head(status: status, version: version, extra: extra)
        out.writeString("Content-Type: \(contentType)\r\nTransfer-Encoding: chunked\r\n\r\n")
        return out
    }

    private static func head(status: Int, version: String?, extra: [(String, String)]) -> ByteBuffer {
        var out = ByteBuffer()
        out.writeString("HTTP/1.1 \(status) \(reason(status))\r\n")
        if let version { out.writeString("Api-Version: \(version)\r\n") }
        let own = [("Docker-Experimental", "false"), ("Ostype", "linux"), ("Server", "Docker/Lighter (linux)")]
        // What an engine said of itself is not said twice.
        for (name, value) in own where !extra.contains(where: { $0.0.lowercased() == name.lowercased() }) {
            out.writeString("\(name): \(value)\r\n")
        }
        for (name, value) in extra { out.writeString("\(name): \(value)\r\n") }
        return out
    }

    static func reason(_ status: Int) -> String {
        switch status {
        case 200: "OK"
        case 201: "Created"
        case 204: "No Content"
        case 304: "Not Modified"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 409: "Conflict"
        case 413: "Request Entity Too Large"
        case 417: "Expectation Failed"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        default: "Status \(status)"
        }
    }
}
