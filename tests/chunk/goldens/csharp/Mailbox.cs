using System;
using System.Collections.Generic;
using System.Threading.Tasks;

namespace Example.Mail
{
    /// <summary>
    /// Keeps messages until somebody reads them,
    /// see <see cref="Message"/>.
    /// </summary>
    [Serializable]
    public sealed partial class Mailbox<T> : IDisposable where T : class
    {
        private readonly Queue<T> queue = new();
        public event EventHandler? Arrived;

        /// <summary>How many wait.</summary>
        public int Count => queue.Count;

        public string Name { get; init; } = "inbox";

        public int Limit
        {
            get { return limit; }
            set
            {
                if (value < 0) throw new ArgumentOutOfRangeException(nameof(value));
                limit = value;
            }
        }

        private int limit = 10;

        public Mailbox(string name)
        {
            Name = name;
        }

        ~Mailbox()
        {
            Dispose();
        }

        /// <summary>Puts a message in the box.</summary>
        /// <param name="message">What to keep.</param>
        [Obsolete("use PutAsync")]
        public void Put(T message)
        {
            queue.Enqueue(message);
            Arrived?.Invoke(this, EventArgs.Empty);
        }

        public async Task<T> TakeAsync(TimeSpan timeout) => await Task.Run(() => queue.Dequeue());

        public T this[int index]
        {
            get { return queue.ToArray()[index]; }
        }

        public static Mailbox<T> operator +(Mailbox<T> box, T message)
        {
            box.Put(message);
            return box;
        }

        void IDisposable.Dispose() => Dispose();

        public void Dispose()
        {
            queue.Clear();

            int Remaining()
            {
                return queue.Count;
            }

            if (Remaining() > 0) throw new InvalidOperationException();
        }
    }

    public interface ITransport
    {
        Task Send(Message message);

        bool Ready() => true;
    }

    public record Message(string From, string To, string Text);

    public record struct Stamp
    {
        public DateTime At;
    }

    internal enum Priority
    {
        Low,
        High,
    }

    public delegate void Filter(Message message, ref bool keep);

    public static class Extensions
    {
        public static bool IsEmpty<T>(this Mailbox<T> box) where T : class
        {
            return box.Count == 0;
        }
    }
}
