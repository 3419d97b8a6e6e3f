internal import BuildKit
internal import DockerAPI
internal import FoundationEssentials
internal import NIOCore

/// Steps of a build that have failed, of which one is why the build did.
struct KitFailures: Sendable {
    /// Kept of one build.
    private static let limit = 64

    private var steps: [(name: String, error: String)] = []

    /// - Parameter status: BuildKit's `StatusResponse`.
    mutating func note(_ status: ByteBuffer) {
        for bytes in (try? ProtoMessage(status))?.all(1) ?? [] {
            guard let vertex = try? ProtoMessage(bytes), steps.count < Self.limit else { continue }
            let error = vertex.text(7)
            if !error.isEmpty { steps.append((vertex.text(3), error)) }
        }
    }

    /// The name of the step whose error the build's is; others were only given up with it.
    func step(of message: String) -> String? { steps.first { message.hasSuffix($0.error) }?.name }
}

/// Lines of a Dockerfile that an error is about, which clients of BuildKit show.
struct KitSource: Sendable, Hashable {
    let name: String
    let text: String
    let lines: ClosedRange<Int>

    /// gRPC's `Status` of an error with this as its detail.
    func status(_ code: UInt64, _ message: String) -> ByteBuffer {
        let range: JSON = [
            "start": ["line": .number("\(lines.lowerBound)")], "end": ["line": .number("\(lines.upperBound)")],
        ]
        let source: JSON = [
            "info": [
                "filename": .string(name), "data": .string(Data(text.utf8).base64EncodedString()),
                "language": "Dockerfile",
            ],
            "ranges": .array([range]),
        ]
        var detail = ProtoMessage()
        detail.add(1, "github.com/moby/buildkit/errdefs.Source+json")
        detail.add(2, source.text)
        var status = ProtoMessage()
        status.add(1, code)
        status.add(2, message)
        status.add(3, detail)
        return status.buffer
    }
}
