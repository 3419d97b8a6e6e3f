internal import DockerAPI
internal import Engine
internal import FoundationEssentials
internal import Images
internal import NIOCore

/// A client that is told of its build in lines of JSON.
@NodeLoop
final class KitLines: KitAudience {
    private let client: ClientWriter
    private let head: ByteBuffer

    init(_ client: ClientWriter, _ head: ByteBuffer) {
        self.client = client
        self.head = head
    }

    func begin() { client.begin(head) }

    func progress(_ status: ByteBuffer) async throws {
        let text = Data(status.readableBytesView).base64EncodedString()
        try await client.write(Self.line(["id": "moby.buildkit.trace", "aux": .string(text)]))
    }

    func end(_ result: KitResult) async {
        switch result {
        case .made(nil): break
        case .made(let image?):
            try? await client.write(Self.line(["id": "moby.image.id", "aux": ["ID": .string("\(image)")]]))
        case .failed(let message, _):
            let line: JSON = ["errorDetail": ["message": .string(message)], "error": .string(message)]
            try? await client.write(Self.line(line))
        }
        client.end()
    }

    private static func line(_ json: JSON) -> ByteBuffer { ByteBuffer(string: json.text + "\r\n") }
}
