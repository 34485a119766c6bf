// Short messages: notices that are seen and read, and announcements that are only read aloud.

export interface Notice {
  id: number;
  kind: "good" | "bad";
  text: string;
}

const NOTICE_MS = 8000;
const KEPT_ANNOUNCEMENTS = 12;
let lastId = 0;

class Notices {
  shown = $state<Notice[]>([]);
  announcements = $state<{ id: number; text: string }[]>([]);

  add(kind: Notice["kind"], text: string): void {
    const id = ++lastId;
    this.shown.push({ id, kind, text });
    this.announce(text);
    // An error stays until it is dismissed: nobody should have to read quickly.
    if (kind === "good") setTimeout(() => this.dismiss(id), NOTICE_MS);
  }

  dismiss(id: number): void {
    this.shown = this.shown.filter((notice) => notice.id !== id);
  }

  announce(text: string): void {
    if (text === "") return;
    this.announcements.push({ id: ++lastId, text });
    if (this.announcements.length > KEPT_ANNOUNCEMENTS) this.announcements.shift();
  }
}

export const notices = new Notices();
