import Testing

@testable import Images

@Suite("The calls that a session answers")
struct SessionMethodsTests {
    @Test("are told by numbers as far as they have some")
    func numbers() {
        let methods = ["/moby.filesync.v1.FileSync/DiffCopy", "/a/B", "/grpc.health.v1.Health/Check"]
        let (numbers, others) = SessionMethods.shortened(methods)
        #expect(others == ["/a/B"])
        #expect(numbers.flatMap(SessionMethods.named) == [methods[0], methods[2]])
        #expect(SessionMethods.shortened(others).numbers == nil)
    }

    @Test(
        "are none where a number is none",
        arguments: ["", "x", "-1", "99", "0,", String(repeating: "0,", count: 99) + "0"])
    func none(numbers: String) { #expect(SessionMethods.named(numbers) == nil) }
}
