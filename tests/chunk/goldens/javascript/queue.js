/*!
 * queue
 * Copyright(c) 2024 Example
 * MIT Licensed
 */

'use strict';

const EventEmitter = require('node:events');
const { setTimeout: wait } = require('node:timers/promises');

const LIMIT = 16;

/**
 * A queue that runs at most `limit` jobs at a time.
 */
class Queue extends EventEmitter {
  #running = 0;
  static instances = new Set();

  constructor(limit = LIMIT) {
    super();
    this.limit = limit;
    this.jobs = [];
  }

  /** How many jobs wait. */
  get length() {
    return this.jobs.length;
  }

  // Arrow, so that it can be handed out unbound.
  push = async (job) => {
    this.jobs.push(job);
    this.#drain();
  };

  #drain() {
    while (this.#running < this.limit && this.jobs.length) {
      this.#running++;
      this.jobs.shift()().finally(() => this.#running--);
    }
  }

  static *[Symbol.iterator]() {
    yield* Queue.instances;
  }
}

/**
 * Runs JOB again until it succeeds.
 * @param {() => Promise<any>} job
 */

exports.persist = async function persist(job, times = 3) {
  for (let i = 0; ; i++) {
    try {
      return await job();
    } catch (error) {
      if (i >= times) throw error;
      await wait(2 ** i * 100);
    }
  }
};

Queue.prototype.clear = function () {
  this.jobs.length = 0;
};

const debounce = (fn, ms) => {
  let timer;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => fn(...args), ms);
  };
}, noop = () => {};

var handler = wrap(async (request, response) => {
  response.end(await request.text());
});

const routes = {
  prefix: '/api',
  list(request) {
    return request.all();
  },
  'not-found': function () {
    return 404;
  },
  nested: {
    deep: () => 'deep',
  },
};

defineGetter(Queue.prototype, 'idle', function idle() {
  return this.length === 0;
});

function* count(from) {
  for (;;) yield from++;
}

(function boot() {
  function inner() {
    return 1;
  }
  inner();
})();

module.exports = { Queue, debounce, noop, ...exports };

export default function () {
  return new Queue();
}

describe('Queue', () => {
  const queue = new Queue(1);

  // Even while another runs.
  it('takes jobs', async () => {
    await queue.push(async () => {});
    expect(queue.length).toBe(0);
  });

  describe("when it's full", function () {
    test.skip(`waits`, function () {});
  });
});
