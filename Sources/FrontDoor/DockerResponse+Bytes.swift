internal import DockerAPI
internal import Engine
internal import NIOCore

extension DockerResponse {
    /// The response as it is sent on: the engine's own head fields, and a length for the body at hand.
    var bytes: ByteBuffer {
        let passedOver = [
            "content-length", "transfer-encoding", "connection", "content-type", "x-lighter-refused",
        ]
        let fields = headers.fields.filter { !passedOver.contains($0.name.lowercased()) }.map { ($0.name, $0.value) }
        return DockerResponseBytes.make(
            status: status, contentType: headers.first("Content-Type"), body: body, version: nil, extra: fields)
    }

    func replacing(body: ByteBuffer) -> DockerResponse {
        var copy = self
        copy.body = body
        copy.body.writeString("\n")
        return copy
    }
}
