// Runs only the last of many requests: waits until typing pauses, cancels the one before, drops what comes too late.

export class Latest<T> {
  private timer: NodeJS.Timeout | undefined;
  private running: AbortController | undefined;

  constructor(
    private readonly pause: number,
    private readonly done: (result: T) => void,
    private readonly failed: (error: Error) => void,
  ) {}

  run(work: (signal: AbortSignal) => Promise<T>, pause = this.pause): void {
    this.cancel();
    const controller = new AbortController();
    this.running = controller;
    this.timer = setTimeout(async () => {
      try {
        const result = await work(controller.signal);
        if (!controller.signal.aborted) this.done(result);
      } catch (error) {
        if (!controller.signal.aborted) this.failed(error as Error);
      }
    }, pause);
  }

  cancel(): void {
    clearTimeout(this.timer);
    this.running?.abort();
    this.running = undefined;
  }
}
