// SPDX-License-Identifier: Apache-2.0
// Headless Chromium, driven over its DevTools protocol through a pair of pipes: JSON messages, each ended by a NUL.
// Source: Chrome DevTools Protocol, domains Target, Runtime and Page; Chromium's --remote-debugging-pipe.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";

/** Nothing of the browser may reach out; the sandbox needs what a container often does not give. */
const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--no-default-browser-check",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-dev-shm-usage",
  "--remote-debugging-pipe",
];
const NUL = "\0";

type Parameters = Record<string, unknown>;

interface Message {
  readonly id?: number;
  readonly sessionId?: string;
  readonly method?: string;
  readonly params?: Parameters;
  readonly result?: Parameters;
  readonly error?: { readonly message: string };
}

interface Waiting {
  resolve(result: Parameters): void;
  reject(error: Error): void;
}

/** Requests with their answers, and events by session. */
class Connection {
  readonly #to: Writable;
  readonly #waiting = new Map<number, Waiting>();
  readonly #listeners = new Map<string, (method: string, params: Parameters) => void>();
  #id = 0;
  #rest = "";

  constructor(to: Writable, from: Readable) {
    this.#to = to;
    to.on("error", () => this.close());
    from.setEncoding("utf8");
    from.on("data", (text: string) => {
      const messages = (this.#rest + text).split(NUL);
      this.#rest = messages.pop() ?? "";
      for (const message of messages) this.#receive(JSON.parse(message) as Message);
    });
    from.on("close", () => this.close());
  }

  #receive(message: Message): void {
    if (message.id === undefined) {
      this.#listeners.get(message.sessionId ?? "")?.(message.method ?? "", message.params ?? {});
      return;
    }
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.error === undefined) waiting?.resolve(message.result ?? {});
    else waiting?.reject(new Error(message.error.message));
  }

  listen(sessionId: string, listener: (method: string, params: Parameters) => void): void {
    this.#listeners.set(sessionId, listener);
  }

  send(method: string, params: Parameters, sessionId?: string): Promise<Parameters> {
    const id = ++this.#id;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#to.write(JSON.stringify({ id, method, params, sessionId }) + NUL);
    });
  }

  close(): void {
    for (const { reject } of this.#waiting.values()) reject(new Error("the browser is gone"));
    this.#waiting.clear();
  }
}

/** A page, and what its scripts do. */
export class Page {
  readonly #connection: Connection;
  readonly #sessionId: string;
  /** Exceptions that nobody caught and errors on the console. */
  readonly errors: string[] = [];
  #onLoad: () => void = () => {};
  #onMessage: (text: string) => void = () => {};

  constructor(connection: Connection, sessionId: string) {
    this.#connection = connection;
    this.#sessionId = sessionId;
    connection.listen(sessionId, (method, params) => this.#event(method, params));
  }

  #event(method: string, params: Parameters): void {
    if (method === "Page.loadEventFired") this.#onLoad();
    if (method === "Runtime.bindingCalled") this.#onMessage(String(params["payload"]));
    if (method === "Runtime.exceptionThrown") this.errors.push(describe(params["exceptionDetails"]));
  }

  send(method: string, params: Parameters = {}): Promise<Parameters> {
    return this.#connection.send(method, params, this.#sessionId);
  }

  /** Calls of `send(text)` in the page go to `listener` from now on. */
  async onMessage(listener: (text: string) => void): Promise<void> {
    this.#onMessage = listener;
    await this.send("Runtime.addBinding", { name: "send" });
  }

  async open(url: string): Promise<void> {
    await this.send("Page.enable");
    await this.send("Runtime.enable");
    const loaded = new Promise<void>((resolve) => {
      this.#onLoad = resolve;
    });
    const { errorText } = await this.send("Page.navigate", { url });
    if (typeof errorText === "string") throw new Error(`${url}: ${errorText}`);
    await loaded;
  }

  /** The value of an expression, which may be a promise, in the page. Rejects with what it throws. */
  async evaluate(expression: string): Promise<unknown> {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", {
      expression,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails !== undefined) throw new Error(describe(exceptionDetails));
    return (result as { value?: unknown }).value;
  }
}

function describe(details: unknown): string {
  const { text, exception } = details as { text?: string; exception?: { description?: string } };
  return exception?.description ?? text ?? "an exception without words";
}

export class Chromium implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #connection: Connection;
  readonly #endProfile: () => void;
  readonly #closed: Promise<void>;

  private constructor(process: ChildProcess, connection: Connection, endProfile: () => void) {
    this.#process = process;
    this.#connection = connection;
    this.#endProfile = endProfile;
    this.#closed = new Promise((resolve) => {
      process.on("close", () => resolve());
    });
  }

  /** Starts Debian's chromium, on a profile of its own unless one is given. */
  static async launch(profileToKeep?: string): Promise<Chromium> {
    const profile = profileToKeep ?? mkdtempSync(join(tmpdir(), "rookery-chromium-"));
    const endProfile = (): void => {
      if (profileToKeep === undefined) rmSync(profile, { recursive: true, force: true, maxRetries: 10 });
    };
    const child = spawn("chromium", [...FLAGS, `--user-data-dir=${profile}`, "about:blank"], {
      stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
    });
    const failed = new Promise<never>((_, reject) => {
      child.on("error", reject);
    });
    const connection = new Connection(child.stdio[3] as Writable, child.stdio[4] as Readable);
    const browser = new Chromium(child, connection, endProfile);
    await Promise.race([connection.send("Browser.getVersion", {}), failed]);
    return browser;
  }

  async page(): Promise<Page> {
    const { targetId } = await this.#connection.send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.#connection.send("Target.attachToTarget", { targetId, flatten: true });
    return new Page(this.#connection, String(sessionId));
  }

  async version(): Promise<string> {
    return String((await this.#connection.send("Browser.getVersion", {}))["product"]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection.send("Browser.close", {}).catch(() => this.#process.kill("SIGKILL"));
    await this.#closed;
    this.#endProfile();
  }
}
