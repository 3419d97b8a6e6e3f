import NIOCore
import Testing
import Wire

@testable import Gateway

struct PushFrameTests {
    @Test(
        "An acknowledgement is what its message is on the wire",
        arguments: [0, 1, 127, 128, 1_700_000_000_000_000, .max])
    func acknowledgement(report: UInt64) throws {
        var envelope = Lighter_V1_Envelope()
        envelope.reportAck.sequence = report
        var buffer = ByteBuffer()
        PushFrame.append(acknowledgement: report, to: &buffer)
        #expect(Array(buffer.readableBytesView) == (try Framing.encode(envelope)))
    }
}
