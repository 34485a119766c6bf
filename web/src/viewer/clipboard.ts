// Copying. The clipboard is there in secure contexts only (https or this machine); elsewhere the caller says so.
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
