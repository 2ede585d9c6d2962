// Messages on a stream: `Content-Length: N`, an empty line, N bytes of JSON. In one file of its own, because the
// backend's progress names the id of a request, and vscode-jsonrpc keeps its ids to itself.

const HEADER_END = "\r\n\r\n";
/** Bytes of a header; the longest that is meant is under a hundred. */
const MAX_HEADER = 4096;
/** Bytes of a message, as PROTOCOL.md has it. */
export const MAX_MESSAGE = 4 << 20;

/** What came cannot be a message; nothing after it can be told apart, so the connection is over. */
export class FramingError extends Error {}

export function framed(message: unknown): Buffer {
  const body = Buffer.from(JSON.stringify(message), "utf8");
  return Buffer.concat([Buffer.from(`Content-Length: ${body.length}${HEADER_END}`, "ascii"), body]);
}

/** Takes bytes as they come, gives the messages that are complete. */
export class Unframer {
  private waiting: Buffer[] = [];
  private held = 0;
  private wanted: number | undefined;

  push(bytes: Buffer): unknown[] {
    this.waiting.push(bytes);
    this.held += bytes.length;
    const messages: unknown[] = [];
    for (;;) {
      if (this.wanted === undefined) {
        const length = this.header();
        if (length === undefined) return messages;
        this.wanted = length;
      }
      if (this.held < this.wanted) return messages;
      const body = this.take(this.wanted);
      this.wanted = undefined;
      try {
        messages.push(JSON.parse(body.toString("utf8")));
      } catch {
        throw new FramingError("a message is no JSON");
      }
    }
  }

  private header(): number | undefined {
    if (this.held === 0) return undefined;
    const all = this.joined();
    const end = all.indexOf(HEADER_END);
    if (end < 0) {
      if (all.length > MAX_HEADER) throw new FramingError("a header has no end");
      return undefined;
    }
    const match = /(?:^|\r\n)Content-Length:[ \t]*(\d{1,12})(?:\r\n|$)/i.exec(all.toString("latin1", 0, end));
    const length = Number(match?.[1] ?? Number.NaN);
    if (!(length <= MAX_MESSAGE)) throw new FramingError(match ? "a message is too long" : "a header has no length");
    this.take(end + HEADER_END.length);
    return length;
  }

  private take(count: number): Buffer {
    const all = this.joined();
    this.waiting = [all.subarray(count)];
    this.held = all.length - count;
    return all.subarray(0, count);
  }

  // Joined only when something can be read from it: a large message in small pieces is copied once.
  private joined(): Buffer {
    if (this.waiting.length !== 1) this.waiting = [Buffer.concat(this.waiting)];
    return this.waiting[0] as Buffer;
  }
}
