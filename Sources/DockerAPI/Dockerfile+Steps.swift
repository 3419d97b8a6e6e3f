/// The steps that BuildKit makes of a Dockerfile.
extension Dockerfile {
    struct Stage: Sendable, Hashable {
        /// Nil without one.
        var name: String?
        var beginsWithImage: Bool
    }

    struct Instruction: Sendable, Hashable {
        var keyword: String
        /// Counted from 1.
        var lines: ClosedRange<Int>
        /// Below zero before the first FROM.
        var stage: Int
    }

    /// Instructions that are steps; another that a stage begins with an image is one, too.
    private static let stepKeywords: Set = ["RUN", "COPY", "ADD", "WORKDIR"]

    /// The lines, counted from 1, of the step that BuildKit calls `[STAGE NUMBER/COUNT] INSTRUCTION`.
    /// - Returns: nil where no step is surely that one, as with steps that a base image adds.
    package func lines(ofStep name: String) -> ClosedRange<Int>? {
        guard name.first == "[", let end = name.firstIndex(of: "]") else { return nil }
        let words = name[..<end].dropFirst().split(separator: " ")
        let numbers = words.last?.split(separator: "/").compactMap { Int($0) } ?? []
        guard numbers.count == 2, let stage = stage(words.dropLast().last) else { return nil }
        let steps = instructions.filter { $0.stage == stage && Self.stepKeywords.contains($0.keyword) }
        let before = stages[stage].beginsWithImage ? 1 : 0
        guard numbers[1] == before + steps.count, numbers[0] > before, numbers[0] <= numbers[1] else { return nil }
        let index = numbers[0] - before - 1
        let keyword = name[end...].dropFirst().split(separator: " ").first
        return keyword?.uppercased() == steps[index].keyword ? steps[index].lines : nil
    }

    /// - Parameter name: as BuildKit says it, which gives those without one a number, and the only one none.
    private func stage(_ name: Substring?) -> Int? {
        guard stages.count > 1 else { return stages.isEmpty ? nil : 0 }
        guard let name else { return nil }
        return stages.indices.last { (stages[$0].name ?? "stage-\($0)") == name }
    }
}
