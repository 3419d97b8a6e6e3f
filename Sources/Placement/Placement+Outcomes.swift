import Fleet

extension Placement {
    /// The origin, or a refusal where not even its engine can take the workload.
    func staying(_ reason: String, warnings: [String] = [], candidates: [Decision.Candidate]? = nil) -> Decision {
        let candidates = candidates ?? [candidate(question.origin)]
        guard originRefusals.isEmpty else { return refusing(candidates) }
        return choosing(origin, reason, warnings: warnings, candidates: candidates)
    }

    func choosing(
        _ target: NodeID, _ reason: String, warnings: [String] = [], candidates: [Decision.Candidate]
    ) -> Decision {
        var candidates = candidates
        if !candidates.contains(where: { $0.node == origin }) { candidates.append(candidate(question.origin)) }
        if let place = candidates.firstIndex(where: { $0.node == target }), place > 0 {
            candidates.insert(candidates.remove(at: place), at: 0)
        }
        return Decision(
            workload: request.id, policy: request.policy.kind, target: target, reason: "\(target): \(reason)",
            warnings: warnings, candidates: candidates)
    }

    func refusing(_ candidates: [Decision.Candidate]) -> Decision {
        var candidates = candidates
        if !candidates.contains(where: { $0.node == origin }) { candidates.append(candidate(question.origin)) }
        let reasons = candidates.prefix(3).map { "\($0.node): \($0.refusals.joined(separator: ", "))" }
        let more = candidates.count > 3 ? " and \(candidates.count - 3) more" : ""
        return Decision(
            workload: request.id, policy: request.policy.kind, target: nil,
            reason: "no node can take it: \(reasons.joined(separator: "; "))\(more)", candidates: candidates)
    }

    /// Nobody else fits: the origin, with a warning where the user expected another node.
    func lastResort(_ survey: Survey, cause: String?, warns: Bool) -> Decision {
        let candidates = shown(survey, chosen: nil)
        guard originRefusals.isEmpty else { return refusing(candidates) }
        if !fleetReachable {
            let reason = "the fleet cannot be reached, and other nodes are only to be had through the gateway"
            return choosing(
                origin, reason, warnings: ["runs on \(origin): the fleet cannot be reached"], candidates: candidates)
        }
        guard survey.refusedCount > 0 else {
            let reason = "the fleet has no other node"
            return choosing(
                origin, reason, warnings: warns || snapshot.nodes.isEmpty ? ["runs on \(origin): \(reason)"] : [],
                candidates: candidates)
        }
        let reason = [cause, "no other node can take it"].compactMap(\.self).joined(separator: "; ")
        return choosing(
            origin, reason, warnings: warns ? warnings(survey) : [], candidates: candidates)
    }

    /// Why each node cannot, in three lines at most.
    private func warnings(_ survey: Survey) -> [String] {
        let filters = Filters.others(question)
        var lines = survey.refusedShown.prefix(3).map { node in
            "\(node.id): \(filters.refusals(of: node).map(\.reason).joined(separator: ", "))"
        }
        if let first = lines.first { lines[0] = "runs on \(origin), as no other node can take it: \(first)" }
        if survey.refusedCount > 3, let last = lines.last {
            lines[lines.count - 1] = "\(last) (and \(survey.refusedCount - 3) more nodes)"
        }
        return lines
    }

    /// The chosen node, the origin, the best of those that fit and then some of those that do not.
    func shown(_ survey: Survey, chosen: Node?) -> [Decision.Candidate] {
        var result: [Decision.Candidate] = []
        if let chosen { result.append(candidate(chosen)) }
        result.append(candidate(question.origin))
        for node in survey.bestShown where node.id != chosen?.id && result.count < Self.candidatesShown {
            result.append(candidate(node))
        }
        let filters = Filters.others(question)
        for node in survey.refusedShown where result.count < Self.candidatesShown {
            result.append(
                Decision.Candidate(node: node.id, refusals: filters.refusals(of: node).map(\.reason)))
        }
        return result
    }

    /// A node that fits, with its score and terms; the origin also with what stands against it.
    func candidate(_ node: Node) -> Decision.Candidate {
        let refusals = question.isOrigin(node) ? originRefusals.map(\.reason) : []
        let score: Double
        var terms: [Decision.Term]
        switch request.policy.kind {
        case .completion:
            let forecast = CompletionForecast(node, question)
            score = forecast.total
            terms = forecast.terms(known: question.work)
        case .local, .remote, .threshold:
            let load = LoadScore(node, question)
            score = load.total
            terms = load.terms
        }
        if request.policy.kind == .threshold, question.isOrigin(node) {
            terms.append(Decision.Term("cpu measured", node.measures.cpu, "fraction"))
            terms.append(Decision.Term("cpu threshold", request.policy.cpuThreshold, "fraction"))
            terms.append(Decision.Term("memory measured", node.measures.memory, "fraction"))
            terms.append(Decision.Term("memory threshold", request.policy.memoryThreshold, "fraction"))
            terms.append(Decision.Term("hysteresis", request.policy.hysteresis, "fraction"))
        }
        return Decision.Candidate(
            node: node.id, score: refusals.isEmpty ? score : nil, refusals: refusals, terms: terms)
    }
}
