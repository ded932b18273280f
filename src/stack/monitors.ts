// Programs that watch the machine and print as it changes: `nft monitor`, `conntrack -E`. A watch is a topic; who makes
// an event asks whether anybody watches (`isOn`), formats its line only then, and hands it over. The lines wait here until
// whoever runs commands takes them (a shell after each command, a replay as it goes).
//
// Left out: processes. A watch has no id and ends with `close`; the same topic opened twice is one watch.

export class Monitors {
  private readonly topics = new Set<string>();
  private pending = '';

  /** Begins a watch. */
  open(topic: string): void {
    this.topics.add(topic);
  }

  /** Ends it; what it printed stays to be taken. */
  close(topic: string): void {
    this.topics.delete(topic);
  }

  /** Whether anybody watches this topic. */
  isOn(topic: string): boolean {
    return this.topics.has(topic);
  }

  /** Text that the watcher of `topic` prints, line ends included; nothing when nobody watches. */
  print(topic: string, text: string): void {
    if (this.topics.has(topic)) this.pending += text;
  }

  /** What was printed since the last call. */
  take(): string {
    const text = this.pending;
    this.pending = '';
    return text;
  }
}
